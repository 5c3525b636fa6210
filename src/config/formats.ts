// The formats in podnic's schemas. They are functions and not patterns, so that they can use the parsers of src/ip, and so that messages can
// say what was expected (see `wanted`).
import { parseAddress, parsePrefix } from "../ip/address.ts";
import { parseMac } from "../ip/mac.ts";
import { isPciAddress } from "../sysfs/device.ts";

/** What a message says after "must be". */
export const wanted: Record<string, string> = {
  ip: "an IP address such as 192.0.2.1 or 2001:db8::1",
  "optional-ip": "an IP address such as 192.0.2.1 or 2001:db8::1",
  cidr: "an address with a prefix length (CIDR notation) such as 192.0.2.1/24",
  "ip-or-cidr": "an IP address such as 192.0.2.1, with or without a prefix length",
  mac: "a link-layer address such as 02:00:5e:10:00:01",
  interface: "an interface name or alternative name: at most 127 bytes, without '/' or white space",
  bridge: "a bridge name: at most 15 bytes, without '/' or white space",
  pci: "a PCI address with its domain, such as 0000:3b:00.1",
  path: "an absolute path of at most 4095 bytes without '..' or control characters",
  word: "at most 253 characters without white space or control characters",
};

function hasSpaceOrControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit <= 0x20 || (unit >= 0x7f && unit <= 0xa0) || unit === 0x2028 || unit === 0x2029) return true;
  }
  return false;
}

export function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x20 || unit === 0x7f) return true;
  }
  return false;
}

// Alternative names have at most 127 bytes (ALTIFNAMSIZ - 1).
const isInterface = (text: string): boolean => text.length <= 127 && !hasSpaceOrControl(text) && !text.includes("/");

/** Some formats accept an empty string, because the Go plugins treat it as "not given". */
export const formats: Record<string, (text: string) => boolean> = {
  ip: (text) => parseAddress(text) !== undefined,
  "optional-ip": (text) => text === "" || parseAddress(text) !== undefined,
  cidr: (text) => parsePrefix(text) !== undefined,
  "ip-or-cidr": (text) => (text.includes("/") ? parsePrefix(text) : parseAddress(text)) !== undefined,
  mac: (text) => text === "" || parseMac(text) !== undefined,
  interface: isInterface,
  // plugins/bridge/config.ts checks the shorter length limit, with a message of its own.
  bridge: isInterface,
  pci: (text) => text === "" || isPciAddress(text),
  path: (text) =>
    text === "" || (text.length < 4096 && text[0] === "/" && !hasControl(text) && !`${text}/`.includes("/../")),
  word: (text) => text.length <= 253 && !hasSpaceOrControl(text),
};
