// Entry point of a test executable (see native.built.test.ts): `selftest contract NAME DIR`, or one of the cases below. Prints "ok" on success.

import { EAGAIN, ECHILD, ETXTBSY, O_CREAT, O_PATH, O_RDONLY, O_WRONLY, POLLIN, SIGPIPE } from "../host/constants.ts";
import { type Host, installHost, type Outcome, SystemError } from "../host/host.ts";
import { LinuxHost } from "../host/linux.ts";
import { inTypeScript, type Loops } from "../host/loops.ts";
import type { Kernel } from "../host/syscalls.ts";
import { contract, equal, expect, failure } from "./host-contract.ts";
import { checkJson } from "./json-cases.ts";

declare const native: Kernel & Loops & { load(): void };

// These are evaluated at build time, so the snapshot must restore all of them.
const frozen = {
  map: new Map([["key", [1, 2.5, "text", 2n ** 70n]]]),
  pattern: /^(a+)b$/u,
  bytes: new Uint8Array([1, 2, 3]),
  /** Its offset and its length in one look like the address at which the stack may end: 2^47. */
  room: new Uint8Array(1 << 15),
};
const big = "x".repeat(20_000).split("");
/** Half a megabyte of objects and strings, each with one reference. */
const crowd = Array.from({ length: 4000 }, (_, i) => ({ text: `member ${i} of the crowd` }));
/** Objects with unshared shapes, the first with room for another property, and a text with spare room and one reference. */
const lonely: Record<string, unknown> = { only1: 1, only2: 2, only3: 3, only4: 4, only5: 5 };
const widow: Record<string, unknown> = { gone: 1, stays: 2 };
const joined = { text: ["no", "body", "else"].join("-") };
let counter = 0;
const count = () => ++counter;

function nested(levels: number): string {
  return "[".repeat(levels) + "]".repeat(levels);
}

function thrownBy(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    return String(error);
  }
  return "nothing";
}

/** Returns the code of the SystemError that `body` throws; "" if it throws none. */
function codeOf(body: () => unknown): string {
  try {
    body();
    return "";
  } catch (error) {
    if (error instanceof SystemError) return error.code;
    throw error;
  }
}

function run(host: Host, path: string, env: Record<string, string> = {}, timeout = 5000): Outcome {
  const file = host.open(path, O_PATH);
  try {
    return host.run({ file, path, env, stdin: new Uint8Array(), maxOutput: 1 << 20, timeout });
  } finally {
    host.close(file);
  }
}

function script(host: Host, path: string, text: string): string {
  const fd = host.open(path, O_WRONLY | O_CREAT, 0o755);
  host.write(fd, host.encode(text));
  host.close(fd);
  return path;
}

/** The number of pages of the executable's data, which contains the heap snapshot, of which this process has its own copy. */
function pagesWritten(host: LinuxHost): number {
  const fd = host.open("/proc/self/smaps", O_RDONLY);
  let text = "";
  for (let part = host.read(fd, 65536); part.length > 0; part = host.read(fd, 65536)) text += host.decode(part);
  host.close(fd);
  const data = text.split(/\n(?=[0-9a-f]+-)/).find((mapping) => /^\S+ rw-p .*\/\S+\n/.test(mapping));
  return Number(/Private_Dirty: +(\d+) kB/.exec(data ?? "")?.[1]) / 4;
}

const cases: Record<string, (host: LinuxHost, dir: string) => void> = {
  "what was evaluated is there": () => {
    const [number, float, text, bigint] = frozen.map.get("key") ?? [];
    expect(number === 1 && float === 2.5 && text === "text" && bigint === 2n ** 70n, "a map");
    equal([frozen.pattern.exec("aab")?.[1], frozen.bytes[2], big.length], ["aa", 3, 20_000], "the rest");
    equal(native.text(frozen.room, 1000, 1001), "", "bytes that C is given");
    expect(!("random" in Math), "no Math.random, whose seed the snapshot would freeze");
  },

  "JSON is as the language says": checkJson,

  "the loops in C answer as those in TypeScript do": () => {
    let seed = 1;
    const draw = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    const texts = [
      "",
      "eth0",
      "a-b_c.d",
      "-a",
      ".",
      "_",
      "a/b",
      "Z9",
      "9",
      "a\0b",
      "\0",
      "é",
      "a€",
      "\ud800",
      "@[`{",
      "~\x7f",
      "a b",
    ];
    for (const text of texts) {
      equal(native.plain(text), inTypeScript.plain(text), `plain ${JSON.stringify(text)}`);
      const [a, b] = [new Uint8Array(12).fill(7), new Uint8Array(12).fill(7)];
      equal([native.put(a, 2, text), [...a]], [inTypeScript.put(b, 2, text), [...b]], `put ${JSON.stringify(text)}`);
    }
    for (let round = 0; round < 2000; round++) {
      const bytes = new Uint8Array(4 * draw(150));
      // Mostly valid attributes, and sometimes one with a wrong length.
      for (let at = 0; at < bytes.length; ) {
        const length = draw(20) === 0 ? draw(70_000) : 4 + draw(draw(4) === 0 ? 40 : 5);
        bytes.set([length & 255, length >> 8, draw(12), draw(3) === 0 ? 0x80 : 0].slice(0, bytes.length - at), at);
        at += (Math.max(length, 4) + 3) & ~3;
        if (draw(3) === 0 && at < bytes.length) bytes[at - 1] = draw(256);
      }
      const end = bytes.length - (draw(4) === 0 ? draw(Math.min(bytes.length, 4)) : 0);
      const wanted = draw(3) === 0 ? null : Uint8Array.from({ length: draw(12) }, () => draw(2));
      const [a, b] = [new Int32Array(300), new Int32Array(300)];
      const base = draw(100);
      const inC = native.attributes(bytes, 0, end, wanted, a, base);
      equal(
        [inC, [...a]],
        [inTypeScript.attributes(bytes, 0, end, wanted, b, base), [...b]],
        `attributes, round ${round}`,
      );
      const [from, to] = [draw(bytes.length + 1), draw(bytes.length + 1)];
      equal(native.text(bytes, from, to), inTypeScript.text(bytes, from, to), `text, round ${round}`);
    }
    for (let round = 0; round < 300; round++) {
      const [a, b] = [0, 0].map(() => Int32Array.from({ length: draw(6) }, () => draw(3) - 1));
      equal(native.differences(a!, b!), inTypeScript.differences(a!, b!), `differences, round ${round}`);
    }
    for (let round = 0; round < 50; round++) {
      const words = (length: number) => Int32Array.from({ length }, () => draw(2 ** 16) ^ (draw(2 ** 16) << 16));
      const [state, constants] = [words(16), words(160)];
      const blocks = Uint8Array.from({ length: 128 * draw(4) }, () => draw(256));
      const [a, b] = [state.slice(), state.slice()];
      native.digest(a, blocks, constants);
      inTypeScript.digest(b, blocks, constants);
      equal([...a], [...b], `digest, round ${round}`);
    }
    for (const body of [
      () => native.digest(new Int32Array(15), new Uint8Array(128), new Int32Array(160)),
      () => native.digest(new Int32Array(16), new Uint8Array(127), new Int32Array(160)),
      () => native.digest(new Int32Array(16), new Uint8Array(128), new Int32Array(159)),
      () => native.attributes(new Uint8Array(4), 0, 8, null, new Int32Array(300), 0),
      () => native.attributes(new Uint8Array(4), 0, 4, null, new Int32Array(192), 0),
      () => native.attributes(new Uint8Array(4), -1, 4, null, new Int32Array(300), 0),
      () => native.text(new Uint8Array(4), 0, 5),
      () => native.put(new Uint8Array(4), 1, "eth0"),
    ])
      expect(thrownBy(body).startsWith("RangeError"), "what leads out of the bytes is an error");
  },

  "references to what was evaluated are not written down": (host) => {
    const before = pagesWritten(host);
    let length = 0;
    for (let times = 0; times < 3; times++) {
      const kept = crowd.map((member) => [member, member.text, { member }]);
      for (const [member] of kept) length += (member as { text: string }).text.length;
    }
    equal(length, 3 * crowd.reduce((sum, { text }) => sum + text.length, 0), "length");
    const written = pagesWritten(host) - before;
    expect(written < 20, `fewer pages written than ${written}`);
  },

  "a property is added to what was evaluated, and to nothing else": () => {
    const twin: Record<string, unknown> = { only1: 1, only2: 2, only3: 3, only4: 4, only5: 6 };
    lonely.more = 7;
    equal([Object.keys(twin).length, twin.only5, twin.more], [5, 6, undefined], "an object of the same shape");
    equal(lonely, { only1: 1, only2: 2, only3: 3, only4: 4, only5: 5, more: 7 }, "the object");
  },

  "a property is taken from what was evaluated, and from nothing else": () => {
    const other: Record<string, unknown> = { gone: 6, stays: 7 };
    delete widow.gone;
    equal([other, widow], [{ gone: 6, stays: 7 }, { stays: 2 }], "objects one of which lost a property");
  },

  "a text that was evaluated is not appended to in place": () => {
    let text = joined.text;
    text += "!";
    equal([text, joined.text], ["no-body-else!", "no-body-else"], "texts");
  },

  "a variable is an error before it has a value, and each turn of a loop has its own": () => {
    const early: (() => unknown)[] = [
      () => {
        const read = (): unknown => later;
        const found = read();
        const later: unknown[] = [found];
        return later;
      },
      () => {
        for (let turn = 0; turn < 2; turn++) {
          // @ts-expect-error: in the second turn it has none again.
          // biome-ignore lint/correctness/noInvalidUseBeforeDeclaration: that is what is tried
          if (turn === 1) return value;
          const value = [turn];
          expect(value[0] === 0, "the first turn");
        }
        return undefined;
      },
      () => {
        // @ts-expect-error: the default is looked for first.
        // biome-ignore lint/correctness/noInvalidUseBeforeDeclaration: that is what is tried
        const { first = second, second } = { second: count() } as { first?: number; second: number };
        return [first, second];
      },
    ];
    equal(
      early.map((each) => thrownBy(each).split(":")[0]),
      early.map(() => "ReferenceError"),
      "errors",
    );
    const kept: (() => number)[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const twice = turn * 2;
      kept.push(() => turn + twice);
    }
    equal(kept.map((each) => each()).join(), "0,3,6", "what closures keep");
  },

  "what was evaluated stays when references to it come and go": () => {
    for (let i = 0; i < 1000; i++) {
      const [counts, object] = [() => counter + i, { count, [joined.text]: crowd[i] }];
      expect(counts() === counter + i && object[joined.text] === crowd[i], "the same objects");
      delete object[joined.text];
      Reflect.setPrototypeOf(object, frozen);
    }
    equal([count(), count(), joined.text], [1, 2, "no-body-else"], "the variable and the text");
    crowd.length = 1000;
    crowd.push({ text: "new" });
    frozen.map.set("other", []).delete("key");
    const more = Array.from({ length: 4000 }, (_, i) => ({ text: `${i}` }));
    equal([crowd[999]?.text, crowd[1000]?.text], ["member 999 of the crowd", "new"], "members");
    equal([more[3999]?.text, frozen.map.size, frozen.bytes[1]], ["3999", 1, 2], "the rest");
  },

  "JSON of 9,999 levels is read and written": () => {
    equal(JSON.stringify(JSON.parse(nested(9_999))).length, 19_998, "length");
    equal(JSON.stringify(JSON.parse(`${'{"a":'.repeat(9_999)}1${"}".repeat(9_999)}`)).length, 6 * 9_999 + 1, "length");
  },

  "JSON that is nested without end is an error, not a crash": () => {
    for (let i = 0; i < 3; i++)
      expect(thrownBy(() => JSON.parse("[".repeat(1 << 20))).includes("stack overflow"), "an error");
    const deep = (): number => 1 + deep();
    expect(thrownBy(deep).includes("stack overflow"), "an error of recursion");
  },

  "memory has an end, and is there again after it": () => {
    const hog = (): number => {
      const all: Uint8Array[] = [];
      for (;;) all.push(new Uint8Array(1 << 20));
    };
    equal(thrownBy(hog), "InternalError: out of memory", "error");
    equal(new Uint8Array(100 << 20).length, 100 << 20, "bytes");
    const small = (): number => {
      const all: { i: number }[] = [];
      for (let i = 0; ; i++) all.push({ i });
    };
    // If too little memory is left even for an error, the engine throws null.
    expect(["null", "InternalError: out of memory"].includes(thrownBy(small)), "an error");
    equal(JSON.parse(nested(1000)).length, 1, "what small blocks hold after that");
  },

  "blocks of every size grow and shrink with their contents": () => {
    let text = "";
    for (let i = 0; i < 3000; i++) text += String.fromCharCode(97 + (i % 26)).repeat(i % 97);
    const list: number[] = [];
    for (let i = 0; i < 300_000; i++) list.push(i);
    for (let i = 0; i < 200_000; i++) list.pop();
    equal([list.length, list.at(-1)], [100_000, 99_999], "the list");
    for (let size = 1; size < 1 << 21; size = Math.ceil(size * 1.3)) {
      const bytes = new Uint8Array(size).fill(size & 255);
      expect(bytes[0] === (size & 255) && bytes[size - 1] === (size & 255), `${size} bytes`);
    }
    equal(
      text.length,
      [...Array(3000).keys()].reduce((sum, i) => sum + (i % 97), 0),
      "the text",
    );
  },

  "an argument that is no argument is an error": () => {
    expect(thrownBy(() => native.syscall(39, {} as never)) !== "nothing", "an object to be refused");
    expect(
      thrownBy(() => native.syscall(39, [new Uint8Array([65])])).includes("NUL"),
      "text without NUL to be refused",
    );
    equal(native.syscall(100_000), -38, "ENOSYS");
  },

  "programs get the signals, the stack and the environment that we got": (host, dir) => {
    host.ignoreSignal(SIGPIPE);
    const path = script(host, `${dir}/p`, "#!/bin/sh\ngrep SigIgn /proc/self/status\nulimit -s\nenv\n");
    const lines = host.decode(run(host, path, { ADDED: "1", PATH: "/usr/bin:/bin" }).stdout).split("\n");
    equal(lines[0], "SigIgn:\t0000000000000000", "ignored signals");
    equal(lines[1], host.getenv("EXPECTED_STACK"), "stack limit");
    expect(lines.includes("ADDED=1") && lines.includes("PATH=/usr/bin:/bin"), "the variables given");
    const bytes = script(host, `${dir}/q`, '#!/bin/sh\nprintf %s "$BROKEN" | od -An -tx1\n');
    equal(host.decode(run(host, bytes).stdout).trim(), "66 ff 6f", "a variable that is not UTF-8");
    equal(host.getenv("BROKEN"), "f\udcffo", "for us");
  },

  "what a program leaves behind does not hold us up": (host, dir) => {
    const path = script(host, `${dir}/p`, "#!/bin/sh\nsleep 6 2>/dev/null &\necho done\n");
    const before = host.monotonic();
    equal(host.decode(run(host, path, {}, 10_000).stdout), "done\n", "output");
    expect(host.monotonic() - before < 3000, "no waiting for the pipe to close");
  },

  "the deadline ends the whole group": (host, dir) => {
    const path = script(host, `${dir}/p`, `#!/bin/sh\n(sleep 2; echo late > ${dir}/late) &\nwait\n`);
    equal(run(host, path, {}, 200).killed, "timeout", "killed");
    host.sleep(2500);
    expect(
      thrownBy(() => host.stat(`${dir}/late`)).includes("ENOENT") ||
        thrownBy(() => host.stat(`${dir}/late`)).includes("no such file"),
      "nobody left to write",
    );
  },

  "a file that is no program is an error": (host, dir) => {
    equal(failure(() => run(host, script(host, `${dir}/p`, "no program"))).code, "ENOEXEC", "code");
  },

  "a program that is being written is ETXTBSY": (host, dir) => {
    const from = host.open("/bin/true", O_RDONLY);
    const to = host.open(`${dir}/p`, O_WRONLY | O_CREAT, 0o755);
    for (let part = host.read(from, 65536); part.length > 0; part = host.read(from, 65536)) host.write(to, part);
    equal(failure(() => run(host, `${dir}/p`)).errno, ETXTBSY, "errno");
    host.close(to);
    equal(run(host, `${dir}/p`).status, 0, "status");
    equal(failure(() => host.waitpid(-1)).errno, ECHILD, "children left");
  },

  "what was opened is what runs": (host, dir) => {
    const file = host.open("/bin/echo", O_PATH);
    const { stdout } = host.run({
      file,
      path: `${dir}/elsewhere`,
      env: {},
      stdin: new Uint8Array(),
      maxOutput: 10,
      timeout: 5000,
    });
    equal(host.decode(stdout), "\n", "output of echo");
    const text = host.open(script(host, `${dir}/p`, "#!/bin/sh\necho one\n"), O_PATH);
    host.rename(script(host, `${dir}/q`, "#!/bin/sh\necho two\n"), `${dir}/p`);
    const again = { file: text, path: `${dir}/p`, env: {}, stdin: new Uint8Array(), maxOutput: 10, timeout: 5000 };
    equal(failure(() => host.run(again)).code, "ENOENT", "code for a script that was replaced");
  },

  "what is sent aside is answered to us, and what is closed aside is closed": (host) => {
    const socket = host.socket(16, 3, 0);
    host.bind(socket, new Uint8Array([16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    // RTM_GETLINK of an unused index. The answer is NLMSG_ERROR with -ENODEV.
    const question = new Uint8Array(32);
    question.set([32, 0, 0, 0, 18, 0, 1, 0, 7]);
    question.set([255, 255, 255, 127], 20);
    const sender = host.sendAside(socket, question);
    equal(host.poll([{ fd: socket, events: POLLIN }], 5000), [socket], "an answer");
    const data = new Uint8Array(1024);
    host.recv(socket, data);
    equal(
      [data[4], data[8], (data[16]! | (data[17]! << 8) | (data[18]! << 16) | (data[19]! << 24)) * -1],
      [2, 7, 19],
      "it",
    );
    host.waitpid(sender);
    expect(host.hasEnded(sender), "it was waited for");
  },

  "what is left aside stays open for us, and a process beside us has it until it ends": (host) => {
    const bound = () => {
      const socket = host.socket(16, 3, 0);
      host.bind(socket, new Uint8Array([16, 0, 0, 0, 0xfe, 0xfe, 0x3e, 0, 0, 0, 0, 0]));
      return socket;
    };
    // The child process ends after 20 ms, which may pass before a busy machine gets here.
    for (let tries = 0, seen = ""; seen !== "EADDRINUSE"; tries++) {
      const socket = bound();
      const child = host.leaveAside(socket);
      equal(
        thrownBy(() => host.fstat(socket)),
        "nothing",
        "open for us",
      );
      host.sleep(2);
      host.close(socket);
      if (child === 0) break;
      if (!host.hasEnded(child)) {
        // The child process may also end just before this.
        seen = codeOf(() => host.close(bound()));
        host.waitpid(child);
      }
      expect(tries < 50, "its address is taken for a while");
    }
    host.close(bound());
  },

  "a forked child has its own session and only what it keeps": (host) => {
    const [output, input] = host.pipe();
    const [, other] = host.pipe();
    const pid = host.fork([input]);
    if (pid === 0) {
      const open = [0, 1, 2, output, other].filter((fd) => thrownBy(() => host.fstat(fd)) === "nothing");
      host.write(input, host.encode(JSON.stringify({ open, input: thrownBy(() => host.fstat(input)) })));
      host.exit(7);
    }
    host.close(input);
    equal(host.poll([{ fd: output, events: POLLIN }], 5000), [output], "ready");
    equal(JSON.parse(host.decode(host.read(output, 1000))), { open: [], input: "nothing" }, "descriptors of the child");
    equal(host.waitpid(pid), 7 << 8, "wait status");
    equal(host.read(output, 1).length, 0, "bytes left");
    const [empty] = host.pipe();
    expect(failure(() => host.call("fcntl", "", empty, 99_999)).errno !== EAGAIN, "an error");
  },
};

function selftest(host: LinuxHost): string {
  const [, kind = "", name = "", dir = ""] = host.args();
  const test = (kind === "contract" ? contract : cases)[name];
  if (kind === "list") return JSON.stringify(Object.keys(cases));
  if (test === undefined) return `no such case: ${name}`;
  test(host, dir);
  return "ok";
}

Reflect.deleteProperty(Math, "random");

globalThis.podnic = () => {
  const host = new LinuxHost(native);
  installHost(host);
  let answer: string;
  try {
    answer = selftest(host);
  } catch (error) {
    answer = error instanceof Error ? `${error}\n${error.stack}` : String(error);
  }
  host.write(1, host.encode(answer));
  return answer === "ok" ? 0 : 1;
};
