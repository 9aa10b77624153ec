// Command gatepost is the server of Gatepost and its administration.
package main

import (
	"fmt"
	"os"
)

func main() {
	_, faults := LoadConfig("gatepost.yaml", os.LookupEnv)
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, fault)
	}
	if Refused(faults) {
		os.Exit(1)
	}
}
