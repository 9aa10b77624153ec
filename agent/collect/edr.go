package collect

import (
	"maps"
	"slices"
	"strings"
)

// product is an agent that watches for attacks, by the processes (on Windows:
// services) that run where it works.
type product struct {
	name                  string
	linux, macOS, windows []string
}

var products = []product{
	{"carbon black", []string{"cbagentd", "cbdaemon"}, []string{"CbOsxSensorService", "com.vmware.carbonblack.cloud.se-agent.extension"}, []string{"CbDefense", "CarbonBlack"}},
	{"cortex xdr", nil, []string{"com.paloaltonetworks.traps.securityextension"}, []string{"cyserver"}},
	{"crowdstrike falcon", []string{"falcon-sensor", "falcon-sensor-bpf"}, []string{"com.crowdstrike.falcon.Agent"}, []string{"CSFalconService"}},
	{"cybereason", []string{"cybereason-sensor"}, []string{"CybereasonSensor"}, []string{"CybereasonActiveProbe"}},
	{"elastic endpoint", []string{"elastic-endpoint"}, []string{"elastic-endpoint", "co.elastic.systemextension"}, []string{"ElasticEndpoint"}},
	{"microsoft defender for endpoint", []string{"wdavdaemon"}, []string{"wdavdaemon"}, []string{"Sense"}},
	{"sentinelone", []string{"s1-agent"}, []string{"sentineld"}, []string{"SentinelAgent"}},
	{"sophos", []string{"sophos_watchdog", "sophos_threat_detector"}, []string{"SophosScanD", "com.sophos.endpoint.scanextension"}, []string{"Sophos MCS Agent", "Sophos Endpoint Defense Service"}},
	{"trellix", []string{"xagt"}, []string{"xagt"}, []string{"xagt"}},
	{"wazuh", []string{"wazuh-agentd"}, []string{"wazuh-agentd"}, []string{"WazuhSvc", "OssecSvc"}},
}

// maxComm is how many bytes of a process's name Linux keeps.
const maxComm = 15

// recognise names the products that run, sorted, or "none".
func recognise(system string, running []string) []string {
	runs := map[string]bool{}
	for _, name := range running {
		runs[strings.ToLower(name)] = true
	}
	found := map[string]bool{}
	for _, p := range products {
		names := map[string][]string{"Linux": p.linux, "macOS": p.macOS, "Windows": p.windows}[system]
		for _, name := range names {
			if system == "Linux" {
				name = name[:min(len(name), maxComm)]
			}
			if runs[strings.ToLower(name)] {
				found[p.name] = true
			}
		}
	}
	if len(found) == 0 {
		return []string{"none"}
	}
	return slices.Sorted(maps.Keys(found))
}
