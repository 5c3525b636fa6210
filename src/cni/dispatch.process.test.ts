// How a request becomes a call, and what is refused before the plugin acts. The plugin here only records its calls.
import { describe, expect, test, vi } from "vitest";
import { Failure } from "../errors.ts";
import { host, SystemError } from "../host/host.ts";
import { parsePrefix } from "../ip/address.ts";
import { resultWith } from "../plugin/interface.ts";
import { answerWith, config, journal, last, run } from "../testing/recorder.ts";
import { emptyResult } from "./result.ts";
import { guardStandardFds } from "./stdio.ts";

// @ts-expect-error written by scripts/vitest/fixture.ts
vi.mock("#validators", () => import("../../generated/fixture.mjs"));

describe("environment", () => {
  test.each([
    ["FOO", {}, "unknown CNI_COMMAND: FOO"],
    ["add", {}, "unknown CNI_COMMAND: add"],
    ["ADD ", {}, "unknown CNI_COMMAND"],
    [
      "ADD",
      { CNI_CONTAINERID: undefined, CNI_IFNAME: "", CNI_NETNS: undefined },
      "[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME]",
    ],
    ["DEL", { CNI_CONTAINERID: undefined }, "[CNI_CONTAINERID]"],
    ["CHECK", { CNI_NETNS: undefined }, "[CNI_NETNS]"],
    ["GC", { CNI_PATH: undefined }, "[CNI_PATH]"],
    ["ADD", { CNI_CONTAINERID: "a\n" }, "CNI_CONTAINERID"],
    ["DEL", { CNI_CONTAINERID: "../x" }, "CNI_CONTAINERID"],
    ["ADD", { CNI_CONTAINERID: ".a" }, "CNI_CONTAINERID"],
    ["ADD", { CNI_CONTAINERID: "é" }, "CNI_CONTAINERID"],
    ["ADD", { CNI_IFNAME: "0123456789abcdef" }, "CNI_IFNAME"],
    ["ADD", { CNI_IFNAME: "äääääääö" }, "CNI_IFNAME"],
    ["ADD", { CNI_IFNAME: ".." }, "CNI_IFNAME"],
    ["ADD", { CNI_IFNAME: "a/b" }, "CNI_IFNAME"],
    ["ADD", { CNI_IFNAME: "a\u2003b" }, "CNI_IFNAME"],
    ["ADD", { CNI_IFNAME: "eth%d" }, "CNI_IFNAME"],
    ["ADD", { CNI_IFNAME: "all" }, "CNI_IFNAME"],
    ["DEL", { CNI_IFNAME: "default" }, "CNI_IFNAME"],
  ])("%j with %j is code 4 and names the variable", (command, env, text) => {
    const { status, out } = run(command, config, env);
    expect([status, out.code]).toEqual([1, 4]);
    expect(out.msg).toContain(text);
    expect(journal).toEqual([]);
  });

  test("fifteen bytes of UTF-8 are a name, DEL needs no namespace, ADD no CNI_PATH", () => {
    expect(run("ADD", config, { CNI_IFNAME: "ä".repeat(7), CNI_PATH: undefined }).status).toBe(0);
    expect(run("DEL", config, { CNI_NETNS: undefined }).status).toBe(0);
    expect(last?.netns).toBe("");
  });

  test("GC and STATUS do not look at the variables of an attachment", () => {
    const gc = { ...config, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
    expect(run("GC", gc, { CNI_CONTAINERID: "../x", CNI_IFNAME: "a/b" }).status).toBe(0);
    expect(last?.attachment).toEqual({ network: "net", containerId: "", ifName: "" });
    expect(run("STATUS", gc, { CNI_CONTAINERID: undefined, CNI_IFNAME: "a/b", CNI_PATH: undefined }).status).toBe(0);
  });

  test("only absolute directories of CNI_PATH count", () => {
    run("ADD", config, { CNI_PATH: ":.:bin:/opt/cni/bin::/usr/lib/cni" });
    expect(last?.path).toEqual(["/opt/cni/bin", "/usr/lib/cni"]);
  });
});

describe("stdin", () => {
  const bom = new Uint8Array([0xef, 0xbb, 0xbf, ...new TextEncoder().encode(JSON.stringify(config))]);
  test.each([
    ["nothing", ""],
    ["white space", " \n"],
    ["half an object", '{"name":"a"'],
    ["two objects", '{"name":"a"}{"name":"a"}'],
    ["a trailing NUL", '{"name":"a"}\0'],
    ["a comment", '{"name":"a"} // x'],
    ["a trailing comma", '{"name":"a",}'],
    ["single quotes", "{'name':'a'}"],
    ["a byte order mark", bom],
    ["a list", "[]"],
    ["a text", '"x"'],
    ["a number", "123"],
    ["a name that is a number", { ...config, name: 5 }],
    ["a version that is a number", { ...config, cniVersion: 1 }],
    ["too much of it", { ...config, x: "y".repeat(1 << 20) }],
    ["10,001 levels", `{"name":"a","x":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    ["100,000 open brackets", "[".repeat(100_000)],
  ])("%s is code 6", (_, stdin) => {
    const { status, out } = run("ADD", stdin);
    expect([status, out.code]).toEqual([1, 6]);
    expect(journal).toEqual([]);
  });

  test.each([
    ["null", "null"],
    ["{}", "{}"],
    ["no name", { ...config, name: undefined }],
    ["an empty name", { ...config, name: "" }],
    ["a name that is null", { ...config, name: null }],
    ["a path", { ...config, name: "../../etc/x" }],
    ["a newline at the end", { ...config, name: "a\n" }],
    ["a name only in __proto__", '{"__proto__":{"name":"a"}}'],
    ["a later name that is a path", '{"name":"ok","type":"recorder","name":"../evil"}'],
  ])("%s is code 7", (_, stdin) => {
    for (const command of ["ADD", "DEL", "CHECK", "GC", "STATUS"]) {
      const { status, out } = run(command, stdin);
      expect([command, status, out.code]).toEqual([command, 1, 7]);
    }
    expect(journal).toEqual([]);
  });

  test("9,999 levels, quotes and brackets in texts, and numbers out of range are fine where nobody looks", () => {
    const text = JSON.stringify({ ...config, a: '["{\\"'.repeat(5000), b: "\\" }).slice(0, -1);
    expect(run("ADD", `${text},"x":${"[".repeat(9_998)}${"]".repeat(9_998)},"y":1e400}`).status).toBe(0);
  });

  test("the name that was checked is the one that is used", () => {
    expect(run("ADD", '{"NAME":"../evil","name":"ok","Name":"../worse","ipam":{},"cniVersion":"1.0.0"}').status).toBe(
      0,
    );
    expect([last?.attachment.network, last?.config.name]).toEqual(["ok", "ok"]);
  });

  test("no error repeats what stdin holds", () => {
    const { host } = run("ADD", '{"name":"a","password":"hunter2",}');
    expect(host.stdout + host.stderr).not.toContain("hunter2");
  });
});

test.each([
  ["CID over NETNS", "ADD", config, { CNI_CONTAINERID: "a/b", CNI_NETNS: undefined }, 4, "CNI_CONTAINERID"],
  ["IFNAME over a missing CID", "ADD", config, { CNI_CONTAINERID: undefined, CNI_IFNAME: "a/b" }, 4, "CNI_IFNAME"],
  ["CID over JSON", "ADD", "{", { CNI_CONTAINERID: "a/b" }, 4, "CNI_CONTAINERID"],
  ["NETNS over JSON", "ADD", "{", { CNI_NETNS: undefined }, 4, "CNI_NETNS"],
  ["name over version", "ADD", { ...config, name: "a/b", cniVersion: "9.9.9" }, {}, 7, "network name"],
  ["name over an unknown command", "FOO", { ...config, name: "a/b" }, {}, 7, "network name"],
  ["unknown command over version", "FOO", { ...config, cniVersion: "9.9.9" }, {}, 4, "CNI_COMMAND"],
  ["unknown command over CID", "FOO", config, { CNI_CONTAINERID: "a/b" }, 4, "CNI_COMMAND"],
  ["version over keys", "ADD", { ...config, cniVersion: "9.9.9", dns: 5 }, {}, 1, "incompatible"],
  ["version over prevResult", "CHECK", { ...config, cniVersion: "0.3.1" }, {}, 1, "does not allow CHECK"],
] as const)("order of checks: %s", (_, command, stdin, env, code, text) => {
  const { out } = run(command, stdin, env);
  expect(out.code).toBe(code);
  expect(out.msg).toContain(text);
});

describe("versions", () => {
  test.each(["1.2.0", "0.4.1", "1.0", "1", "01.0.0", "-1.0.0"])("%j is code 1", (cniVersion) => {
    for (const command of ["ADD", "DEL", "CHECK", "GC", "STATUS"]) {
      const { out } = run(command, { ...config, cniVersion });
      expect(out.code).toBe(1);
      expect(out.details).toContain('"0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"');
      expect(out.cniVersion).toBe("1.1.0");
    }
  });

  // For commands that some versions do not have, the Go library parses the version, and fails with another code.
  test.each(["garbage", "v1.0.0", " 1.0.0", "1.0.0\0", "1..0", "1.0.0.0", "x".repeat(1000)])(
    "%j causes code 1, or code 6 for CHECK, GC and STATUS",
    (cniVersion) => {
      const code = (command: string) => run(command, { ...config, cniVersion }).out.code;
      expect(["ADD", "DEL", "CHECK", "GC", "STATUS"].map(code)).toEqual([1, 1, 6, 6, 6]);
    },
  );

  test("no version is 0.1.0, in results and in errors", () => {
    const { cniVersion: _, ...without } = config;
    expect(run("ADD", without).out).toEqual({ cniVersion: "0.1.0", ip4: { ip: "192.0.2.5/24" }, dns: {} });
    expect(run("GC", without).out).toMatchObject({ code: 1, cniVersion: "0.1.0" });
  });

  test("VERSION repeats the version it is asked in and needs nothing else", () => {
    const ask = (stdin: string) =>
      run("VERSION", stdin, { CNI_CONTAINERID: "../x", CNI_IFNAME: "dummy/", CNI_ARGS: "A" });
    expect(ask('{"cniVersion":"0.4.0"}').out.cniVersion).toBe("0.4.0");
    expect(ask('{"cniVersion":"9.9.9"}').out.cniVersion).toBe("9.9.9");
    for (const stdin of ["", "garbage", "{}", '{"cniVersion":5}', '{"cniVersion":"<script>"}', "null"]) {
      const { status, out, host } = ask(stdin);
      expect([status, out.cniVersion]).toEqual([0, "1.1.0"]);
      expect(host.stdout.endsWith("}\n")).toBe(true);
      expect(host.stderr).toBe("");
    }
  });
});

describe("roles", () => {
  test("a plugin without a command says what it is", () => {
    const { status, host } = run("", config, { CNI_COMMAND: undefined });
    expect(status).toBe(0);
    expect(host.stdout).toBe("");
    expect(host.stderr).toMatch(
      /^CNI recorder plugin podnic v.*\nCNI protocol versions supported: 0\.1\.0, .*1\.1\.0\n$/,
    );
  });

  test("as podnic the type decides, and without a command an operator is there", () => {
    expect(run("ADD", config, {}, { args: ["podnic"] }).status).toBe(0);
    expect(run("ADD", { ...config, type: "x" }, {}, { args: ["podnic"] }).out.msg).toBe('unknown plugin type "x"');
    expect(run("ADD", { ...config, type: 5 }, {}, { args: ["podnic"] }).out.code).toBe(7);
    expect(run("", config, { CNI_COMMAND: undefined }, { args: ["podnic", "version"] }).status).toBe(77);
  });
});

describe("the plugin's part", () => {
  test("an invalid configuration stops ADD, CHECK and STATUS, and no DEL", () => {
    const bad = { ...config, cniVersion: "1.1.0", dns: "x", ipam: { routes: [{ dst: "x" }] }, prevResult: "x" };
    for (const command of ["ADD", "CHECK", "STATUS"]) expect(run(command, bad).out.code).toBe(7);
    const { status, host } = run("DEL", bad, { CNI_ARGS: "A" });
    expect([status, host.stdout, journal]).toEqual([0, "", ["del"]]);
    expect(last?.config).toEqual({ cniVersion: "1.1.0", name: "net", type: "recorder", ipam: { routes: [] } });
    expect(last?.prevResult).toBeUndefined();
    expect(host.stderr).toContain("dns must be an object");
    expect(host.stderr).toContain("ignoring prevResult");
  });

  test("GC does what it can and then says what was wrong", () => {
    const { out } = run("GC", { ...config, cniVersion: "1.1.0", dns: "x", "cni.dev/valid-attachments": [] });
    expect([journal, out.code]).toEqual([["gc"], 7]);
    expect(out.msg).toContain("dns must be an object");
  });

  test.each([
    ["absent", {}],
    ["a text", { "cni.dev/valid-attachments": "x" }],
    ["a number in it", { "cni.dev/valid-attachments": [5] }],
    ["null in it", { "cni.dev/valid-attachments": [null] }],
    ["an empty attachment", { "cni.dev/valid-attachments": [{}] }],
    ["half an attachment", { "cni.dev/valid-attachments": [], "cni.dev/attachments": [{ containerID: "a" }] }],
    ["inherited", JSON.parse('{"__proto__":{"cni.dev/valid-attachments":[]}}')],
  ])("GC with attachments %s collects nothing", (_, keys) => {
    const { out } = run("GC", { ...config, cniVersion: "1.1.0", ...keys });
    expect([out.code, journal]).toEqual([7, []]);
  });

  test.each([
    ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"],
    ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"],
    ["DEL", "CNI_CONTAINERID,CNI_IFNAME"],
    ["GC", "CNI_PATH"],
  ])("%s lists missing variables in the Go library's order", (command, names) => {
    const none = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_PATH: "" };
    const { out } = run(command, config, none);
    expect([out.code, out.msg]).toEqual([4, `required env variables [${names}] missing`]);
  });

  test.each([
    [{ "cni.dev/valid-attachments": null }],
    [{ "cni.dev/valid-attachments": null, "cni.dev/attachments": null }],
    [{ "cni.dev/attachments": null }],
  ])("GC with the list %j collects everything: libcni says null for none", (keys) => {
    const { host } = run("GC", { ...config, cniVersion: "1.1.0", ...keys });
    expect([host.stdout, journal, last?.validAttachments]).toEqual(["", ["gc"], []]);
  });

  test("GC takes both lists", () => {
    const lists = {
      "cni.dev/valid-attachments": [{ containerID: "a", ifname: "e" }],
      "cni.dev/attachments": [{ containerID: "b", ifname: "f" }],
    };
    run("GC", { ...config, cniVersion: "1.1.0", ...lists });
    expect(last?.validAttachments).toEqual([
      { containerId: "a", ifName: "e" },
      { containerId: "b", ifName: "f" },
    ]);
  });

  test("under a stranger's name the type does not decide: as a delegate it would start itself without end", () => {
    const { status, out } = run("ADD", config, {}, { args: ["/opt/cni/bin/ptp"] });
    expect([status, out.code, out.msg]).toEqual([1, 7, 'podnic was started as "ptp", which is not one of its plugins']);
  });

  test("an interface plugin is refused before it acts", () => {
    const byName = { args: ["recorder-interface"] };
    const own = { CNI_NETNS: "/proc/self/ns/net" };
    const refused = run("ADD", config, own, byName);
    expect([refused.out.code, refused.out.msg, journal]).toEqual([
      4,
      "plugin's netns and netns from CNI_NETNS should not be the same",
      ["validate"],
    ]);
    expect(run("DEL", config, own, byName).out.code).toBe(4);
    expect(run("ADD", config, { ...own, CNI_NETNS_OVERRIDE: "yes" }, byName).out.code).toBe(4);
    expect(run("ADD", config, { ...own, CNI_NETNS_OVERRIDE: "TRUE" }, byName).status).toBe(0);
    expect(run("ADD", config, {}, byName).out.msg).toContain("CNI_NETNS");
    expect(run("ADD", config, { ...own, CNI_IFNAME: "lo" }, byName).out.code).toBe(4);
    expect(run("CHECK", config, own, byName).out.msg).toBe("Required prevResult missing");
    const legacy = run("ADD", { ...config, cniVersion: "0.2.0" }, own, byName);
    expect([legacy.out.msg, journal]).toEqual(["cannot convert: no valid IP addresses", ["validate"]]);
    expect(run("DEL", config, {}, byName).status).toBe(0);
  });

  test("IPAM is found and checked before the interface is touched", () => {
    const byName = { args: ["recorder-interface"] };
    const env = { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: "1" };
    const missing = run("ADD", { ...config, ipam: { type: "nosuch" } }, env, byName);
    expect(missing.out.msg).toBe('failed to find plugin "nosuch" in path [/nonexistent]');
    expect(run("ADD", { ...config, ipam: { type: "../x" } }, env, byName).out.code).toBe(7);
    expect(run("ADD", { ...config, ipam: { type: "x" } }, { ...env, CNI_PATH: "bin:." }, byName).out.msg).toContain(
      "CNI_PATH",
    );
    expect(
      run("ADD", { ...config, ipam: { type: "recorder" } }, { ...env, CNI_ARGS: "X=y" }, byName).out.msg,
    ).toContain("unknown args");
    expect(journal).toEqual([]);
  });
});

test("ADD succeeds when what went on beside it has: what fails there undoes it", () => {
  const order: string[] = [];
  answerWith((call) => {
    call.transaction.onRollback("undo", () => void order.push("undo"));
    call.transaction.beside(() => {
      order.push("end");
      throw new Failure("io", "the disk is full");
    });
    return { ...emptyResult(), ips: [{ address: parsePrefix("192.0.2.5/24")! }] };
  });
  try {
    const { status, out } = run("ADD", config);
    expect([status, out.msg, out.ips, order]).toEqual([1, "the disk is full", undefined, ["end", "undo"]]);
  } finally {
    answerWith();
  }
});

test("SIGTERM does not interrupt the undo of an ADD that failed", () => {
  const order: string[] = [];
  answerWith((call) => {
    call.transaction.onRollback("undo", () => void order.push("undo"));
    // `host` is now the host of this call.
    const { ignoreSignal } = host;
    host.ignoreSignal = (signal) => {
      order.push(`ignore ${signal}`);
      ignoreSignal.call(host, signal);
    };
    throw new Failure("failed", "no");
  });
  try {
    expect(run("ADD").out.msg).toBe("no");
  } finally {
    answerWith();
  }
  expect(order).toEqual(["ignore 15", "ignore 2", "undo"]);
});

test.each([[[1]], [[0]], [[2]], [[0, 1, 2]], [[]]])(
  "descriptors %j that came closed are occupied before anything is opened",
  (closed) => {
    run("VERSION");
    const opened: string[] = [];
    const { fstatfs, open, poll } = host;
    // poll also reports all descriptors if they are pipes whose other ends are closed.
    host.poll = () => [0, 1, 2];
    host.fstatfs = (fd) => {
      if (closed.includes(fd as never)) throw new SystemError("fstatfs", 9, "EBADF", "bad file descriptor");
      return fstatfs.call(host, 0);
    };
    host.open = (path) => opened.push(path);
    try {
      guardStandardFds();
    } finally {
      Object.assign(host, { fstatfs, open, poll });
    }
    expect(opened).toEqual(closed.map(() => "/"));
  },
);

test("the routes of the plugins before us are passed on, before our own", () => {
  const route = (dst: string) => ({ dst: parsePrefix(dst)! });
  const before = { ...emptyResult(), routes: [route("203.0.113.0/24")] };
  run("ADD");
  const call = { ...last!, prevResult: before };
  const own = { ...emptyResult(), routes: [route("0.0.0.0/0")] };
  expect(resultWith(call, { name: "eth0" }, own).routes).toEqual([...before.routes, ...own.routes]);
  expect(resultWith(call, { name: "eth0" }).routes).toEqual(before.routes);
});
