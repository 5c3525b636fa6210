// Names from runtimes and configurations. podnic uses them as file names, so they may contain only the characters that the specification
// allows. The checks do not use patterns, because `$` would accept a trailing newline (spec case CID-18).
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";
import { loops } from "../host/loops.ts";

/** [a-zA-Z0-9][a-zA-Z0-9_.-]*: container ids, network names, plugin names. */
export function isPlainName(text: string): boolean {
  return loops.plain(text);
}

/** The rule of isPlainName in words, as the end of a sentence in a message. */
export const plainNameRule =
  "must begin with a letter or digit; the remaining characters can be letters, digits, '_', '.' or '-'.";

/** Unicode's White_Space property, which Go's unicode.IsSpace uses. */
function isSpace(unit: number): boolean {
  return (
    (unit >= 0x09 && unit <= 0x0d) ||
    unit === 0x20 ||
    unit === 0x85 ||
    unit === 0xa0 ||
    unit === 0x1680 ||
    (unit >= 0x2000 && unit <= 0x200a) ||
    unit === 0x2028 ||
    unit === 0x2029 ||
    unit === 0x202f ||
    unit === 0x205f ||
    unit === 0x3000
  );
}

/** Shortens a value for a message. Control characters need no treatment here, because JSON and the log escape them. */
export function excerpt(text: string): string {
  return text.length > 128 ? `${text.slice(0, 128)}… (${text.length} characters)` : text;
}

export function checkContainerId(id: string): void {
  if (isPlainName(id)) return;
  const given = id.includes("\ufffd") ? "bytes that are not UTF-8" : excerpt(id);
  throw new Failure(
    "invalid environment",
    "invalid characters in containerID (CNI_CONTAINERID)",
    `${given}: The container ID ${plainNameRule}`,
  );
}

/** Checks all of Linux's rules for interface names, including those that the Go plugins do not check. Throws a Failure that names CNI_IFNAME. */
export function checkIfName(name: string): void {
  const refuse = (what: string, cure: string): never => {
    const given = name.includes("\ufffd") ? "" : `${excerpt(name)}: `;
    throw new Failure("invalid environment", `${what} (CNI_IFNAME)`, `${given}${cure}`);
  };
  const size = host.encode(name).length;
  if (size > 15) refuse("interface name is too long", `The name has ${size} bytes; the kernel accepts at most 15.`);
  if (name === "." || name === "..") refuse("interface name is . or ..", "Choose another name.");
  for (let at = 0; at < name.length; at++) {
    const unit = name.charCodeAt(at);
    if (unit === 0x2f || unit === 0x3a || isSpace(unit)) {
      refuse("interface name contains / or : or whitespace characters", "Choose another name.");
    }
    // The kernel replaces %d with a number, so DEL would never find the interface under the requested name.
    if (unit === 0x25)
      refuse("interface name contains %", "The kernel would replace a pattern such as %d with a number.");
    if (unit < 0x20 || unit === 0x7f) refuse("interface name contains control characters", "Choose another name.");
    if (unit === 0xfffd) refuse("interface name is not UTF-8", "Results are JSON, which cannot represent this name.");
  }
  if (name === "all" || name === "default") {
    refuse(`interface name is ${name}`, "This name is reserved: the kernel uses it in /proc/sys/net.");
  }
}

/** The spec knows no limit; what is longer is no name, and is not looked through for wrong characters. */
const NETWORK_NAME_MAX = 32_768;

export function checkNetworkName(name: string): void {
  if (name.length > NETWORK_NAME_MAX) {
    const cure = `${excerpt(name)}: "name" can have at most ${NETWORK_NAME_MAX} characters.`;
    throw new Failure("invalid config", "network name is too long", cure);
  }
  if (isPlainName(name)) return;
  throw new Failure(
    "invalid config",
    "invalid characters found in network name",
    `${excerpt(name)}: "name" ${plainNameRule}`,
  );
}
