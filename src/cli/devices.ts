// podnic devices: lists the network devices of this node and the pods that have them.
import type { Command } from "commander";
import { host } from "../host/host.ts";
import { RTNLGRP_LINK } from "../netlink/constants.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { command } from "./command.ts";
import { type Device, findDevices, type State } from "./node/devices.ts";
import { requireRoot } from "./node/node.ts";
import { type Cell, type Colour, print, printJson, printTable, shortId, terminalWidth } from "./terminal.ts";

const epilogue = `STATE is one of
  free       can be given to a pod
  pod        a pod has it
  node       the node needs it, or /etc/cni/podnic.json does not allow it
  lost       no pod has it any more; podnic gc or the next ADD restores it
  elsewhere  its interface is in a namespace for which podnic has no record
  unbound    it has no driver
  virtual    a virtual interface (with --all)

  podnic devices                  cards, virtual functions, and all devices that pods have
  podnic devices --watch          repeats the list after every change, until Ctrl-C
  podnic devices --json | jq -r '.[] | select(.state == "free") | .pci'`;

const colours: { [state in State]?: Colour } = { free: "green", lost: "red", elsewhere: "yellow", unbound: "yellow" };

/** Milliseconds to wait for further changes: if a device moves to a pod, the kernel reports about six changes. */
const SETTLE = 200;
/** Milliseconds after which the list is updated even without a notification, because changes inside pods do not cause any on the host. */
const LOOK = 5000;

function showDevices(devices: Device[]): void {
  const rows = devices.map(({ name, pci, driver, pf, vf, mac, vlan, state, why, holder, interface: link }): Cell[] => {
    const colour = colours[state];
    return [
      name || "-",
      pci || "-",
      driver || "-",
      pf === undefined ? "-" : `${pf} ${vf ?? "?"}`,
      mac || "-",
      vlan === undefined || vlan === 0 ? "-" : String(vlan),
      colour === undefined ? state : { text: state, colour },
      holder === undefined ? "-" : shortId(holder.containerId) || "?",
      holder === undefined ? "-" : (link?.name ?? holder.interface),
      [holder?.network, holder?.namespace, why].filter((text) => (text ?? "") !== "").join(", "),
    ];
  });
  printTable(["DEVICE", "PCI", "DRIVER", "PF, VF", "MAC", "VLAN", "STATE", "CONTAINER", "AS", "ABOUT"], rows);
}

interface Options {
  all?: boolean;
  json?: boolean;
  watch?: boolean;
}

export const devicesCommand = (): Command =>
  command("devices", "list network devices and which pods have them", epilogue)
    .option("--all", "include virtual interfaces and loopback")
    .option("--watch", "repeat the list after every change, until Ctrl-C")
    .option("--json", "print JSON; with --watch, one document per line")
    .action(({ all, json, watch }: Options) => {
      requireRoot();
      const look = (): Device[] => findDevices().filter((device) => all === true || isForPods(device));
      if (watch === true) follow(look, json === true);
      else if (json === true) printJson(look());
      else showDevices(look());
    });

/** The devices that are relevant for pods: PCI devices, and those that a pod has or had. */
function isForPods({ state, pci }: Device): boolean {
  return pci !== "" || (state !== "virtual" && state !== "node");
}

/** Repeats the list until the process ends: by Ctrl-C, by SIGTERM, or because the reader of stdout has exited. */
function follow(look: () => Device[], json: boolean): never {
  const socket = RouteSocket.open(1 << (RTNLGRP_LINK - 1));
  const clear = terminalWidth() === undefined ? "" : "\x1b[H\x1b[2J";
  for (let last = ""; ; ) {
    const devices = look();
    const text = JSON.stringify(devices);
    if (text !== last) {
      if (json) print(`${text}\n`);
      else {
        print(last === "" || clear !== "" ? clear : "\n");
        showDevices(devices);
      }
      last = text;
    }
    // More changes usually follow, so collect them before the next list.
    if (socket.waitNotification(LOOK)) {
      host.sleep(SETTLE);
      socket.waitNotification(0);
    }
  }
}
