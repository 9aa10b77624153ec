package ocsf

// label is a value of an enumeration: its number, which the schema calls an ID,
// and the caption that must stand beside it.
type label struct {
	id   int
	name string
}

// other is the number, in every enumeration, of what the schema has no number
// for; the caption is then the source's own.
const other = 99

var unknown = label{0, "Unknown"}

// class is a class of events, in its category.
type class struct {
	uid      int
	name     string
	category label
}

var (
	baseEvent         = class{0, "Base Event", label{0, "Uncategorized"}}
	complianceFinding = class{2003, "Compliance Finding", label{2, "Findings"}}
	authentication    = class{3002, "Authentication", label{3, "Identity & Access Management"}}
	deviceInventory   = class{5001, "Device Inventory Info", label{5, "Discovery"}}
	apiActivity       = class{6003, "API Activity", label{6, "Application Activity"}}
)

var (
	informational = label{1, "Informational"}
	low           = label{2, "Low"}
	medium        = label{3, "Medium"}
	high          = label{4, "High"}
)

// The statuses of an activity. Those of a finding are its own.
var (
	statusUnknown = label{0, "Unknown"}
	success       = label{1, "Success"}
	failure       = label{2, "Failure"}
)

// record is an event with what tells all classes from one another; the rest is in
// attributes.
type record struct {
	Class    class
	Activity label
	Severity label
	Status   label
	Time     int64 // milliseconds since 1970
	Metadata metadata
	attributes
}

func (r *record) classify(c class, activity label) { r.Class, r.Activity = c, activity }

// flat is the record as the schema wants it: numbers and captions side by side.
func (r *record) flat() any {
	return struct {
		ActivityID   int      `json:"activity_id"`
		ActivityName string   `json:"activity_name"`
		CategoryUID  int      `json:"category_uid"`
		CategoryName string   `json:"category_name"`
		ClassUID     int      `json:"class_uid"`
		ClassName    string   `json:"class_name"`
		TypeUID      int      `json:"type_uid"`
		TypeName     string   `json:"type_name"`
		SeverityID   int      `json:"severity_id"`
		Severity     string   `json:"severity"`
		StatusID     int      `json:"status_id"`
		Status       string   `json:"status"`
		Time         int64    `json:"time"`
		Metadata     metadata `json:"metadata"`
		attributes
	}{
		r.Activity.id, r.Activity.name,
		r.Class.category.id, r.Class.category.name,
		r.Class.uid, r.Class.name,
		r.Class.uid*100 + r.Activity.id, r.Class.name + ": " + r.Activity.name,
		r.Severity.id, r.Severity.name,
		r.Status.id, r.Status.name,
		r.Time, r.Metadata, r.attributes,
	}
}

// attributes are those of all the classes; what is empty is left out.
type attributes struct {
	Message      string `json:"message,omitempty"`
	StatusCode   string `json:"status_code,omitempty"`
	StatusDetail string `json:"status_detail,omitempty"`

	Actor          *actor       `json:"actor,omitempty"`
	Device         *device      `json:"device,omitempty"`
	User           *user        `json:"user,omitempty"`
	Source         *endpoint    `json:"src_endpoint,omitempty"`
	Service        *entity      `json:"service,omitempty"`
	AuthProtocolID int          `json:"auth_protocol_id,omitempty"`
	AuthProtocol   string       `json:"auth_protocol,omitempty"`
	Certificate    *certificate `json:"certificate,omitempty"`
	Remote         bool         `json:"is_remote,omitempty"`

	ActionID      int     `json:"action_id,omitempty"`
	Action        string  `json:"action,omitempty"`
	DispositionID int     `json:"disposition_id,omitempty"`
	Disposition   string  `json:"disposition,omitempty"`
	Alert         bool    `json:"is_alert,omitempty"`
	Policy        *entity `json:"policy,omitempty"`

	FindingInfo *findingInfo `json:"finding_info,omitempty"`
	Compliance  *compliance  `json:"compliance,omitempty"`
	Resources   []resource   `json:"resources,omitempty"`
	Remediation *remediation `json:"remediation,omitempty"`

	API      *api          `json:"api,omitempty"`
	Request  *httpRequest  `json:"http_request,omitempty"`
	Response *httpResponse `json:"http_response,omitempty"`

	Unmapped map[string]any `json:"unmapped,omitempty"`
}
