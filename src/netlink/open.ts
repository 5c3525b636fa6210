// Opens a netlink socket.
import { AF_NETLINK, SO_RCVTIMEO, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET } from "../host/constants.ts";
import { LOW } from "../host/endian.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { Bytes } from "./bytes.ts";
import * as c from "./constants.ts";

let portsUsed = 0;
/** 0: not asked yet. */
let processId = 0;
/** An int. */
const one = new Bytes(4);
one.u32[0] = 1;
/** struct timeval. */
const time = new Bytes(16);
/** struct sockaddr_nl. */
const address = new Bytes(12);
address.u16[0] = AF_NETLINK;

/** A socket of a NETLINK_* protocol in the namespace this process is in. `groups`: one bit each. `timeout`: of recv(2), whole seconds. */
export function openSocket(protocol: number, groups: number, timeout: number): { fd: Fd; port: number } {
  const fd = host.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  try {
    // NETLINK_CAP_ACK would only keep the copy of a refused request away, which readError passes over.
    setOption(fd, c.NETLINK_EXT_ACK);
    time.u32[LOW] = timeout;
    host.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, time.u8);
    return { fd, port: bindPort(fd, groups) };
  } catch (error) {
    host.close(fd);
    throw error;
  }
}

/** Kernels before 4.12 (NETLINK_EXT_ACK) and 4.20 (NETLINK_GET_STRICT_CHK) do not know them; we do without. */
export function setOption(fd: Fd, option: number): void {
  try {
    host.setsockopt(fd, c.SOL_NETLINK, option, one.u8);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "ENOPROTOOPT") throw error;
  }
}

/** Binds to a port of our own choice, which every answer must carry. Returns it. */
function bindPort(fd: Fd, groups: number): number {
  address.u32[2] = groups;
  processId ||= host.getpid();
  const process = processId & 0x3fffff;
  for (let attempt = 0; ; attempt++) {
    // As libnl does: process id and a counter. Somebody in another pid namespace may have it already.
    const port = (process | (portsUsed++ << 22)) >>> 0;
    address.u32[1] = port;
    try {
      host.bind(fd, address.u8);
      return port;
    } catch (error) {
      if (attempt >= 100 || !(error instanceof SystemError) || error.code !== "EADDRINUSE") throw error;
    }
  }
}
