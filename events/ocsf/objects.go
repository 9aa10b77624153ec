package ocsf

import "encoding/json"

// The schema's objects, each with those of its attributes that are used.

type metadata struct {
	Version      string   `json:"version"`
	Product      product  `json:"product"`
	Reporter     reporter `json:"reporter"`
	Profiles     []string `json:"profiles,omitempty"`
	UID          string   `json:"uid,omitempty"`
	Code         string   `json:"event_code,omitempty"`
	Correlation  string   `json:"correlation_uid,omitempty"`
	OriginalTime string   `json:"original_time"`
	Truncated    bool     `json:"is_truncated,omitempty"`
}

type product struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor_name"`
	Version string `json:"version,omitempty"`
	URL     string `json:"url_string,omitempty"`
}

type reporter struct {
	Name     string `json:"name"`
	Hostname string `json:"hostname,omitempty"`
}

// entity is any object that a name and an ID suffice for.
type entity struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

type actor struct {
	User user    `json:"user"`
	Role *entity `json:"iam_role,omitempty"`
}

type user struct {
	Name        string       `json:"name"`
	UID         string       `json:"uid,omitempty"`
	TypeID      int          `json:"type_id"`
	Type        string       `json:"type"`
	Credentials []credential `json:"programmatic_credentials,omitempty"`
}

type credential struct {
	UID  string `json:"uid"`
	Type string `json:"type"`
}

type device struct {
	UID       string    `json:"uid,omitempty"`
	Name      string    `json:"name,omitempty"`
	TypeID    int       `json:"type_id"`
	Type      string    `json:"type"`
	Vendor    string    `json:"vendor_name,omitempty"`
	Model     string    `json:"model,omitempty"`
	OS        *system   `json:"os,omitempty"`
	Hardware  *hardware `json:"hw_info,omitempty"`
	Owner     *user     `json:"owner,omitempty"`
	Managed   *bool     `json:"is_managed,omitempty"` // nil: not known
	Compliant *bool     `json:"is_compliant,omitempty"`
}

type system struct {
	Name    string `json:"name"`
	TypeID  int    `json:"type_id"`
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
}

type hardware struct {
	Serial string `json:"serial_number"`
}

type endpoint struct {
	IP   string `json:"ip,omitempty"`
	Port int    `json:"port,omitempty"`
	Name string `json:"name,omitempty"`
}

type certificate struct {
	Issuer string `json:"issuer"`
	Serial string `json:"serial_number"`
}

type findingInfo struct {
	UID     string   `json:"uid"`
	Title   string   `json:"title"`
	Desc    string   `json:"desc,omitempty"`
	Types   []string `json:"types"`
	Created int64    `json:"created_time,omitempty"`
}

type compliance struct {
	Standards    []string `json:"standards"`
	Control      string   `json:"control"`
	Requirements []string `json:"requirements,omitempty"`
	StatusID     int      `json:"status_id"`
	Status       string   `json:"status"`
	Details      []string `json:"status_details,omitempty"`
	Checks       []check  `json:"checks,omitempty"`
}

type check struct {
	Name      string   `json:"name"`
	Desc      string   `json:"desc,omitempty"`
	Standards []string `json:"standards"`
	StatusID  int      `json:"status_id"`
	Status    string   `json:"status"`
}

type resource struct {
	UID    string `json:"uid,omitempty"`
	Name   string `json:"name,omitempty"`
	Type   string `json:"type"`
	RoleID int    `json:"role_id"`
	Role   string `json:"role"`
	Owner  *user  `json:"owner,omitempty"`
}

type remediation struct {
	Desc       string   `json:"desc"`
	References []string `json:"references,omitempty"`
}

type api struct {
	Operation string       `json:"operation"`
	Service   entity       `json:"service"`
	Request   *apiRequest  `json:"request,omitempty"`
	Response  *apiResponse `json:"response,omitempty"`
}

type apiRequest struct {
	UID  string          `json:"uid"`
	Data json.RawMessage `json:"data,omitempty"`
}

type apiResponse struct {
	Code int `json:"code"`
}

type httpRequest struct {
	UID        string  `json:"uid,omitempty"`
	Method     string  `json:"http_method,omitempty"`
	URL        *target `json:"url,omitempty"`
	BodyLength int64   `json:"body_length,omitempty"`
}

type target struct {
	Path  string `json:"path"`
	Query string `json:"query_string,omitempty"`
}

type httpResponse struct {
	Code int `json:"code"`
}
