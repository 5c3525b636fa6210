// For any input, podnic prints exactly one document, and never an internal error. The plugin is static, which changes nothing.
import fc from "fast-check";
import { expect, test } from "vitest";
import { main } from "../main.ts";
import { character } from "../testing/character.ts";
import { installEdge } from "../testing/edge.ts";
import { effort, runs } from "../testing/effort.ts";

const text = fc.oneof(
  fc.string({ unit: character, maxLength: 8 }),
  fc.constantFrom(
    "",
    "192.0.2.1/24",
    "192.0.2.1",
    "2001:db8::1/64",
    "::ffff:192.0.2.1/120",
    "1.0.0",
    "../x",
    "a",
    "0.2.0",
    "static",
    "x;y=z",
  ),
);
const key = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      "ipam",
      "IPAM",
      "addresses",
      "address",
      "gateway",
      "routes",
      "dst",
      "gw",
      "mtu",
      "scope",
      "dns",
      "nameservers",
      "args",
      "cni",
      "ips",
      "runtimeConfig",
      "prevResult",
      "interfaces",
      "cniVersion",
      "name",
      "type",
      "logLevel",
      "__proto__",
      "constructor",
      "cni.dev/valid-attachments",
      "containerID",
      "ifname",
      "ip4",
      "ip",
    ),
  },
  { weight: 1, arbitrary: text },
);
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 6 },
    text.map((value) => JSON.stringify(value)),
    fc.constantFrom("0", "-1", "1500", "1e400", "4294967296", "0.5", "true", "null", "-0", "9007199254740993"),
    fc.array(tie("json"), { maxLength: 4 }).map((items) => `[${items.join(",")}]`),
    fc
      .array(fc.tuple(key, tie("json")), { maxLength: 8 })
      .map((entries) => `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`),
  ),
}));
const command = fc.constantFrom("ADD", "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "FOO");
const versions = fc.constantFrom("0.1.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", "");

function run(env: Record<string, string>, stdin: string | Uint8Array) {
  const host = installEdge({ args: ["static"], env, stdin });
  const status = main(
    () => 77,
    () => {},
  );
  const ok = status === 0 && (env.CNI_COMMAND === "ADD" || env.CNI_COMMAND === "VERSION");
  if (status === 0 && !ok) expect(host.stdout).toBe("");
  else {
    const out = JSON.parse(host.stdout);
    expect(typeof out.cniVersion).toBe("string");
    if (status !== 0) {
      expect(out).toEqual({
        cniVersion: out.cniVersion,
        code: expect.any(Number),
        msg: expect.any(String),
        details: expect.any(String),
      });
      expect([out.msg, out.details].join()).not.toContain("internal error");
      expect(out.code).toBeGreaterThan(0);
    }
  }
  // Log lines on stderr must not contain control characters.
  expect(host.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  return status;
}

const attachment = { CNI_CONTAINERID: "c", CNI_IFNAME: "eth0", CNI_NETNS: "/nonexistent", CNI_PATH: "/nonexistent" };

test("any JSON", () => {
  let served = 0;
  fc.assert(
    fc.property(command, versions, json, json, json, (name, cniVersion, ipam, more, prev) => {
      const stdin = `{"name":"net","type":"static","cniVersion":"${cniVersion}","ipam":${ipam},"runtimeConfig":${more},"prevResult":${prev},"cni.dev/attachments":[]}`;
      if (run({ CNI_COMMAND: name, ...attachment }, stdin) === 0) served++;
    }),
    runs(3000),
  );
  expect(served).toBeGreaterThan(effort(100, 5));
});

test("any document", () => {
  fc.assert(
    fc.property(command, json, (name, stdin) => void run({ CNI_COMMAND: name, ...attachment }, stdin)),
    runs(2000),
  );
});

test("any bytes and any environment", () => {
  const value = fc.string({ unit: character, maxLength: 20 });
  fc.assert(
    fc.property(
      command,
      value,
      value,
      value,
      value,
      fc.uint8Array({ maxLength: 40 }),
      (name, id, ifName, netns, args, stdin) => {
        const env = {
          CNI_COMMAND: name,
          CNI_CONTAINERID: id,
          CNI_IFNAME: ifName,
          CNI_NETNS: netns,
          CNI_ARGS: args,
          CNI_PATH: netns,
        };
        run(env, stdin);
        run(
          env,
          '{"name":"net","type":"static","cniVersion":"1.0.0","ipam":{"addresses":[{"address":"192.0.2.1/24"}]}}',
        );
      },
    ),
    runs(2000),
  );
});
