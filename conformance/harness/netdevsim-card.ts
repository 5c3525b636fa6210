// A card of the kernel's own driver for tests, netdevsim (conformance/vm/run --netdevsim), lent to one case. Its PF has every attribute of
// virtual functions: 802.1ad, priority, both rates, spoof check, trust and link state. What it lacks is made up, and no more than that:
// PCI addresses. In the case's /sys the PF's and each function's directory below bus/pci has the links that the kernel makes for functions
// (physfn, virtfnN, driver), and leads to a netdevsim device, whose interface and sriov_numvfs are real. netdevsim has no interfaces of
// functions: a second device is the interface of one.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Card, Where } from "./card.ts";
import type { Sandbox } from "./sandbox.ts";

const BUS = "/sys/bus/netdevsim";
const PCI = "/sys/bus/pci/devices";

/** Cases of sriov that run with PODNIC_CARD=netdevsim borrow such a card instead of the guest's own. */
export function isNetdevsim(): boolean {
  return process.env.PODNIC_CARD === "netdevsim" && process.env.PODNIC_VM !== undefined && existsSync(BUS);
}

/** Numbers of the devices: of the PF, and of each function's interface. They belong to the case, whose process has the number. */
const deviceOf = (t: Where, n: number): string => `netdevsim${t.ns.pid * 10 + n + 1}`;
const pfPci = "0000:af:00.0";
const pciOf = (n: number): string => `0000:af:01.${n}`;

export function makeNetdevsimCard(t: Where, functions: number): Card {
  t.sh(netdevsimCard(t.ns.pid * 10, functions));
  return { pf: "pf0", pfPci, vfs: Array.from({ length: functions }, (_, n) => pciOf(n)) };
}

/** Shell: makes the card, whose devices have the numbers from `first`. Its interfaces are pf0, vf0, vf1 ... */
export function netdevsimCard(first: number, functions: number): string {
  const pf = `netdevsim${first}`;
  const vfs = Array.from({ length: functions }, (_, n) => ({ pci: pciOf(n), device: `netdevsim${first + n + 1}` }));
  const index = (n: number): string => `$(cat /sys/class/net/vf${n}/ifindex)`;
  // A wire between the first two: without one there is no carrier.
  const wire = `exec 5</proc/self/ns/net; echo "5:${index(0)} 5:${index(1)}" >${BUS}/link_device`;
  // The interface of a device that was made in a namespace is there at once.
  return `for name in ${[pf, ...vfs.map(({ device }) => device)].join(" ")}; do echo "\${name#netdevsim} 1" >${BUS}/new_device; done
    (cd ${BUS}/devices; echo ${functions} >${pf}/sriov_numvfs
      ip link set $(ls ${pf}/net) name pf0 up
      ${vfs.map(({ device }, n) => `ip link set $(ls ${device}/net) name vf${n}`).join("\n")})
    ${functions > 1 ? wire : ""}
    mount -t tmpfs tmpfs /media; mkdir /media/sys; mount --bind /sys /media/sys; mount -t tmpfs tmpfs /sys
    for name in class devices kernel module; do ln -s /media/sys/$name /sys/$name; done
    mkdir -p ${PCI} /sys/bus/pci/drivers/netdevsim
    for name in netdevsim virtio auxiliary; do if [ -e /media/sys/bus/$name ]; then ln -s /media/sys/bus/$name /sys/bus/$name; fi; done
    function_of() { # address device
      mkdir ${PCI}/$1; cd ${PCI}/$1
      ln -s /media/sys/devices/$2 $2; ln -s $2/net net; ln -s ../../drivers/netdevsim driver
    }
    (function_of ${pfPci} ${pf}; ln -s ${pf}/sriov_numvfs sriov_numvfs
      ${vfs.map(({ pci, device }) => `function_of ${pci} ${device}; ln -s ../${pfPci} physfn; ln -s ../${pci} ../${pfPci}/virtfn${pci.slice(-1)}`).join("\n")})`;
}

/** The host's interface of function `n`, from the initial namespace, to which the kernel gave it, into the case's. */
export function fetchNetdevsim(t: Sandbox, n: number): void {
  const net = `${BUS}/devices/${deviceOf(t, n)}/net`;
  const move = `ip link set $name netns ${t.ns.pid}`;
  const fetch = `name=$(ls ${net}); [ -n "$name" ] && (${move} || ${move} name dev$(cat /sys/class/net/$name/ifindex))`;
  const script = `for i in $(seq 100); do if ${fetch}; then exit; fi; sleep 0.1; done; exit 1`;
  if (spawnSync("/bin/sh", ["-ec", script], { stdio: "ignore" }).status === 0) return;
  throw new Error(`${deviceOf(t, n)} did not come back`);
}
