package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ruleset is what netfilter does with packets, as far as a firewall goes: by
// table ("inet filter"), its chains by name.
type ruleset map[string]map[string]*chain

type chain struct {
	base   bool // packets come here, and do not only jump here
	policy string
	rules  []verdict // those that every packet meets: whatever asks for something is an exception
}

type verdict struct {
	kind   string // drop, accept, return, jump or goto
	target string
}

func (r ruleset) chain(table, name string) *chain {
	if r[table] == nil {
		r[table] = map[string]*chain{}
	}
	if r[table][name] == nil {
		r[table][name] = &chain{}
	}
	return r[table][name]
}

// denies tells whether what comes in is dropped in the end unless a rule accepts
// it, for a family: ip or ip6. Where several tables see a packet, one that drops
// it is enough.
func (r ruleset) denies(family string) bool {
	for table, chains := range r {
		of, _, _ := strings.Cut(table, " ")
		if of != family && of != "inet" {
			continue
		}
		ends := map[string]string{}
		for name, c := range chains {
			if !c.base {
				continue
			}
			switch end := outcome(chains, name, ends); {
			case end == "drop", end == "" && c.policy == "drop":
				return true
			}
		}
	}
	return false
}

// outcome is what a chain does with a packet that no exception is made for:
// drop, accept, or nothing. Chains that are under way in ends do nothing: the
// kernel has no loops.
func outcome(chains map[string]*chain, name string, ends map[string]string) string {
	if end, known := ends[name]; known {
		return end
	}
	ends[name] = ""
	c := chains[name]
	if c == nil {
		return ""
	}
	for _, v := range c.rules {
		switch v.kind {
		case "drop", "accept":
			ends[name] = v.kind
			return v.kind
		case "return":
			return ""
		}
		end := outcome(chains, v.target, ends)
		if end != "" || v.kind == "goto" {
			ends[name] = end
			return end
		}
	}
	return ""
}

// listing is libnftables-json(5), as far as it is needed.
type listing struct {
	Items []struct {
		Chain *struct {
			Family, Table, Name, Type, Hook, Policy string
		}
		Rule *struct {
			Family, Table, Chain string
			Expr                 []map[string]json.RawMessage
		}
	} `json:"nftables"`
}

// parseNFT reads what `nft -j list ruleset` writes.
func parseNFT(text string) (ruleset, error) {
	var list listing
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("the ruleset: %w", err)
	}
	if len(list.Items) == 0 { // there is at least its version
		return nil, errors.New("the ruleset: nothing in it")
	}
	rules := ruleset{}
	for _, item := range list.Items {
		if c := item.Chain; c != nil {
			into := rules.chain(c.Family+" "+c.Table, c.Name)
			into.base = c.Type == "filter" && (c.Hook == "input" || c.Hook == "prerouting")
			into.policy = c.Policy
		}
		if r := item.Rule; r != nil {
			if v, ok := always(r.Expr); ok {
				into := rules.chain(r.Family+" "+r.Table, r.Chain)
				into.rules = append(into.rules, v)
			}
		}
	}
	return rules, nil
}

// always gives the verdict of a rule that asks for nothing.
func always(expr []map[string]json.RawMessage) (verdict, bool) {
	for _, statement := range expr {
		for name, value := range statement {
			switch name {
			case "counter", "log", "notrack":
			case "reject":
				return verdict{kind: "drop"}, true
			case "drop", "accept", "return":
				return verdict{kind: name}, true
			case "jump", "goto":
				var to struct{ Target string }
				err := json.Unmarshal(value, &to)
				return verdict{name, to.Target}, err == nil
			case "xt": // iptables-nft, for what nftables has no word for
				var ext struct{ Type, Name string }
				if err := json.Unmarshal(value, &ext); err != nil || ext.Type != "target" {
					return verdict{}, false
				}
				if ext.Name == "REJECT" {
					return verdict{kind: "drop"}, true
				}
			default:
				return verdict{}, false
			}
		}
	}
	return verdict{}, false
}

// iptComment is a match that matches everything.
var iptComment = regexp.MustCompile(`-m comment --comment ("(\\.|[^"\\])*"|\S+) ?`)

// parseIPTables reads the table filter of what iptables-save writes, of one
// family.
func parseIPTables(family, text string) ruleset {
	rules := ruleset{}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		}
		if table != "filter" {
			continue
		}
		if decl, ok := strings.CutPrefix(line, ":"); ok {
			if fields := strings.Fields(decl); len(fields) >= 2 {
				c := rules.chain(family+" "+table, fields[0])
				c.base = fields[0] == "INPUT"
				c.policy = strings.ToLower(fields[1])
			}
			continue
		}
		fields := strings.Fields(iptComment.ReplaceAllString(line, ""))
		if len(fields) < 4 || fields[0] != "-A" || fields[2] != "-j" && fields[2] != "-g" {
			continue
		}
		v := verdict{kind: "jump", target: fields[3]}
		switch fields[3] {
		case "DROP", "REJECT":
			v = verdict{kind: "drop"}
		case "ACCEPT", "RETURN":
			v = verdict{kind: strings.ToLower(fields[3])}
		default:
			if fields[2] == "-g" {
				v.kind = "goto"
			}
		}
		c := rules.chain(family+" "+table, fields[1])
		c.rules = append(c.rules, v)
	}
	return rules
}
