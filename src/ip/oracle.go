// What Go's net package says to each line of stdin: the lease files of host-local are named by its texts.
// Run by address.test.ts when Go is installed.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func main() {
	scanner := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for scanner.Scan() {
		text := scanner.Text()
		address, prefix, mac := "-", "-", "-"
		if ip := net.ParseIP(text); ip != nil {
			address = ip.String()
		}
		if ip, network, err := net.ParseCIDR(text); err == nil {
			prefix = fmt.Sprint(&net.IPNet{IP: ip, Mask: network.Mask}, " ", network)
		}
		if hardware, err := net.ParseMAC(text); err == nil {
			mac = hardware.String()
		}
		fmt.Fprintf(out, "%s\t%s\t%s\n", address, prefix, mac)
	}
}
