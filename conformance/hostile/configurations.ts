// Configurations of 1 MiB: the costliest forms that were found.
const MEBIBYTE = 1_000_000;

const host = { type: "host-local", ranges: [[{ subnet: "10.0.0.0/8" }]] };
const network = { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "up0", ipam: host };

/** 64 networks to a set. */
const sets = (count: number): { subnet: string }[][] =>
  Array.from({ length: count }, (_, set) =>
    Array.from({ length: 64 }, (_, n) => ({ subnet: `10.${(set * 64 + n) >> 8}.${(set * 64 + n) & 255}.0/24` })),
  );
const many = <T>(count: number, of: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => of(n));
const spellings = many(8191, (n) =>
  [..."runtimeconfig"].map((char, bit) => ((n >> bit) & 1 ? char.toUpperCase() : char)).join(""),
);

const NETWORK = `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: a}
spec:
  config: '{"type":"macvlan"}'`;

export const configurations: readonly (readonly [name: string, text: string])[] = [
  ["a name of 1 MB", JSON.stringify({ ...network, name: "n".repeat(MEBIBYTE) })],
  ["60,000 keys", JSON.stringify({ ...network, ...Object.fromEntries(many(60_000, (n) => [`key${n}`, n])) })],
  ["60,000 equal keys", `{${'"master":"up0",'.repeat(60_000)}"type":"macvlan"}`],
  [
    "8,191 spellings of a key",
    JSON.stringify({ ...network, ...Object.fromEntries(spellings.map((key, n) => [key, { [`a${n}`]: 1 }])) }),
  ],
  ["128 sets of 64 ranges", JSON.stringify({ ...network, ipam: { type: "host-local", ranges: sets(128) } })],
  ["depth", `${"[".repeat(400_000)}${"]".repeat(400_000)}`],
  [
    "15,000 plugins",
    JSON.stringify({
      cniVersion: "1.0.0",
      name: "l",
      plugins: many(15_000, () => ({ type: "macvlan", master: "up0" })),
    }),
  ],
  [
    "30,000 ranges of VLANs",
    JSON.stringify({
      ...{ cniVersion: "1.0.0", name: "b", type: "bridge", bridge: "br0", vlan: 5 },
      vlanTrunk: many(30_000, (n) => ({ minID: (n % 4094) + 1, maxID: 4094 })),
    }),
  ],
  [
    "45,000 plugins",
    JSON.stringify({ cniVersion: "1.0.0", name: "l", plugins: many(45_000, () => ({ type: "macvlan" })) }),
  ],
  ["a key of slashes", `{"type":"macvlan","name":"n","${"/~".repeat(480_000)}":1}`],
  ["1,000,000 lines", `{"type":"macvlan","name":"n"${"\n".repeat(MEBIBYTE)}}`],
  ["broken after 490,000 values", `{"type":"macvlan","name":"n","x":[${"0,".repeat(490_000)}]}`],
  ["YAML in one line", `[${"a,".repeat(49_000)}${"b".repeat(880_000)}]`],
  ["YAML with quotes at its end", `#${"x".repeat(880_000)}\n[${'"a",'.repeat(29_000)}b]`],
  ["YAML of directives", `%YAML 1.1\n${many(10_000, (n) => `%TAG !a${n}! b\n`).join("")}${"--- a\n".repeat(8000)}`],
  ["YAML of texts", `a: '${"x \n  ".repeat(200_000)}'`],
  ["YAML of networks up to the limit", many(500, () => NETWORK).join("\n---\n")],
  ["YAML of a network of 1 MB", `${NETWORK.replace("'{", `'{"plugins":[${'{"type":"macvlan"},'.repeat(45_000)}0],`)}`],
  ["YAML of 90,000 keys", many(90_000, (n) => `k${n}: 1`).join("\n")],
  ["YAML of 6,500 networks", many(6500, () => NETWORK).join("\n---\n")],
];
