// The executable installs itself: what it must refuse, keep and restore. conformance/install tests the same under load.
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { recognise } from "../install/recognise.ts";

const podnic = resolve("dist/podnic");
const names = ["bridge", "cnv-bridge", "host-device", "host-local", "ipvlan", "macvlan", "podnic", "sriov", "static"];
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podnic-bin-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

interface Said {
  status: number | null;
  stdout: string;
  stderr: string;
}

function run(...args: string[]): Said {
  const { status, stdout, stderr } = spawnSync(podnic, args, { encoding: "utf8" });
  return { status, stdout, stderr };
}

function goPlugin(name: string): void {
  copyFileSync(`/usr/lib/cni/${name}`, join(dir, name));
}

const inode = (name: string): number => statSync(join(dir, name)).ino;

describe("what a file is", () => {
  it("is told by its contents, which are never run", () => {
    goPlugin("macvlan");
    writeFileSync(join(dir, "script"), "#!/bin/sh\ntouch /tmp/ran\n", { mode: 0o755 });
    writeFileSync(
      join(dir, "across"),
      `${"x".repeat(16_384 - 5)}k8snetworkplumbingwg/sriov-cni and containernetworking/plugins`,
    );
    symlinkSync("nowhere", join(dir, "dangling"));
    expect(recognise(podnic)).toBe("podnic");
    expect(recognise(join(dir, "macvlan"))).toBe("Go plugin");
    expect(recognise(join(dir, "across"))).toBe("sriov-cni");
    expect(recognise(join(dir, "script"))).toBe("unknown");
    expect(recognise(dir)).toBe("unknown");
    expect(recognise(join(dir, "dangling"))).toBe("missing");
  });
});

describe("podnic install", () => {
  it("makes every name, executable whatever the umask", () => {
    execFileSync("sh", ["-c", `umask 077; exec ${podnic} install ${dir}`]);
    expect(readdirSync(dir).sort()).toEqual(names);
    for (const name of names) {
      expect(statSync(join(dir, name)).mode & 0o777).toBe(0o755);
      expect(readFileSync(join(dir, name)).equals(readFileSync(podnic)), name).toBe(true);
    }
  });

  it("makes files that others can overwrite one by one: sriov-cni's image runs cp -f", () => {
    run("install", dir);
    execFileSync("cp", ["-f", "/usr/lib/cni/bandwidth", join(dir, "sriov")]);
    expect(recognise(join(dir, "sriov"))).toBe("Go plugin");
    for (const name of names.filter((one) => one !== "sriov")) expect(recognise(join(dir, name)), name).toBe("podnic");
  });

  it("installs only what is asked for, and itself", () => {
    expect(run("install", "--only", "macvlan", "static", "--", dir).status).toBe(0);
    expect(readdirSync(dir).sort()).toEqual(["macvlan", "podnic", "static"]);
    expect(run("install", "--only", "ptp", "--", dir)).toMatchObject({ status: 2 });
  });

  it("refuses to replace what it does not know, before anything is changed", () => {
    goPlugin("macvlan");
    writeFileSync(join(dir, "static"), "mine");
    const before = inode("macvlan");
    const { status, stderr } = run("install", dir);
    expect(status).toBe(1);
    expect(stderr).toContain(`${dir}/static was not replaced: it is neither podnic, nor a Go plugin, nor sriov-cni`);
    expect(stderr).toContain("--force");
    expect(readdirSync(dir).sort()).toEqual(["macvlan", "static"]);
    expect(inode("macvlan")).toBe(before);
    expect(run("install", "--force", "--backup", dir).status).toBe(0);
    expect(recognise(join(dir, "static"))).toBe("podnic");
    expect(run("uninstall", dir).status).toBe(0);
    expect(readFileSync(join(dir, "static"), "utf8")).toBe("mine");
    expect(readdirSync(dir).sort()).toEqual(["macvlan", "static"]);
    expect(inode("macvlan")).toBe(before);
  });

  it("never replaces a directory", () => {
    mkdirSync(join(dir, "static"));
    expect(run("install", "--force", dir)).toMatchObject({ status: 1, stderr: expect.stringContaining("a directory") });
  });

  it("keeps what came after it, when something came", () => {
    goPlugin("host-local");
    run("install", "--backup", dir);
    // A package is upgraded, and its file replaces podnic's.
    rmSync(join(dir, "host-local"));
    copyFileSync("/usr/lib/cni/static", join(dir, "host-local"));
    const newer = inode("host-local");
    run("install", "--backup", dir);
    expect(run("uninstall", dir).status).toBe(0);
    expect(readdirSync(dir)).toEqual(["host-local"]);
    expect(inode("host-local")).toBe(newer);
  });

  it("renews what was kept, also when nobody asks for it again", () => {
    goPlugin("host-local");
    run("install", "--backup", dir);
    // An upgrade installs a newer version of the plugin, and an additional plugin.
    for (const name of ["host-local", "static"]) {
      rmSync(join(dir, name));
      copyFileSync("/usr/lib/cni/macvlan", join(dir, name));
    }
    const newer = ["host-local", "static"].map(inode);
    const { changes } = JSON.parse(run("install", "--json", dir).stdout);
    expect(changes).toContainEqual({ name: "host-local", was: "Go plugin", backup: true, did: "installed" });
    expect(run("uninstall", dir).status).toBe(0);
    expect(readdirSync(dir)).toEqual(["host-local", "static"]);
    expect(["host-local", "static"].map(inode)).toEqual(newer);
  });

  it("keeps the original also when a plugin is named twice", () => {
    goPlugin("macvlan");
    const before = inode("macvlan");
    expect(run("install", "--backup", "--only", "macvlan", "macvlan", "--", dir).status).toBe(0);
    expect(run("uninstall", dir).status).toBe(0);
    expect(inode("macvlan")).toBe(before);
  });

  it("does not stumble over its own backup when it was killed before the rename", () => {
    goPlugin("host-local");
    mkdirSync(join(dir, ".podnic.backup"));
    linkSync(join(dir, "host-local"), join(dir, ".podnic.backup", "host-local"));
    const before = inode("host-local");
    expect(run("install", "--backup", dir).status).toBe(0);
    expect(readdirSync(join(dir, ".podnic.backup"))).toEqual(["host-local"]);
    expect(run("uninstall", dir).status).toBe(0);
    expect(readdirSync(dir)).toEqual(["host-local"]);
    expect(inode("host-local")).toBe(before);
  });

  it("writes nothing through a link that stands where it keeps originals", () => {
    goPlugin("macvlan");
    const before = inode("macvlan");
    const elsewhere = mkdtempSync(join(tmpdir(), "podnic-elsewhere-"));
    try {
      symlinkSync(elsewhere, join(dir, ".podnic.backup"));
      expect(run("install", "--backup", dir).status).toBe(1);
      expect(readdirSync(elsewhere)).toEqual([]);
      expect(inode("macvlan")).toBe(before);
      linkSync(join(dir, "macvlan"), join(elsewhere, "macvlan"));
      expect(run("uninstall", dir).status).toBe(1);
      expect(readdirSync(elsewhere)).toEqual(["macvlan"]);
      expect(inode("macvlan")).toBe(before);
    } finally {
      rmSync(elsewhere, { recursive: true, force: true });
    }
  });

  it("keeps the original over many installations", () => {
    goPlugin("host-local");
    const before = inode("host-local");
    for (let i = 0; i < 3; i++) expect(run("install", "--backup", dir).status).toBe(0);
    const { changes } = JSON.parse(run("uninstall", "--json", dir).stdout);
    expect(changes).toContainEqual({ name: "host-local", was: "podnic", backup: true, did: "restored" });
    expect(readdirSync(dir)).toEqual(["host-local"]);
    expect(inode("host-local")).toBe(before);
  });

  it("keeps and restores a link as a link", () => {
    symlinkSync("/usr/lib/cni/macvlan", join(dir, "macvlan"));
    expect(run("install", "--backup", dir).status).toBe(0);
    expect(lstatSync(join(dir, "macvlan")).isFile()).toBe(true);
    expect(run("uninstall", dir).status).toBe(0);
    expect(readlinkSync(join(dir, "macvlan"))).toBe("/usr/lib/cni/macvlan");
    expect(recognise("/usr/lib/cni/macvlan")).toBe("Go plugin");
  });

  it("takes away what an installer left that was killed", () => {
    writeFileSync(join(dir, ".podnic.new"), "half");
    writeFileSync(join(dir, ".podnic.new.ipvlan"), "half");
    writeFileSync(join(dir, ".podnic.link"), "half");
    expect(run("install", dir).status).toBe(0);
    expect(readdirSync(dir).sort()).toEqual(names);
  });

  it("leaves nothing behind when the disk is full", () => {
    const script =
      'mount -t tmpfs -o size=6m,mode=755 tmpfs "$2"; "$1" install "$2" 2>&1; echo status $?; ls -A "$2" | sed s/^/left:/';
    const { stdout } = spawnSync("unshare", ["-m", "sh", "-c", script, "sh", podnic, dir], { encoding: "utf8" });
    expect(stdout).toMatch(/no space left on device.*status 1\n$/s);
  });

  it("works in an empty root, without /proc", () => {
    copyFileSync(podnic, join(dir, "podnic"));
    chmodSync(join(dir, "podnic"), 0o755);
    mkdirSync(join(dir, "host"));
    const { status, stderr } = spawnSync("chroot", [dir, "/podnic", "install", "/host"], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(readdirSync(join(dir, "host")).sort()).toEqual(names);
    expect(readdirSync(dir).sort()).toEqual(["host", "podnic"]);
  });

  it("says what to do when there is no such directory", () => {
    const { status, stderr } = run("install", join(dir, "none"));
    expect(status).toBe(1);
    expect(stderr).toContain(`there is no directory ${dir}/none`);
    expect(stderr).toContain("mkdir -p");
  });
});

describe("podnic uninstall", () => {
  it("takes away what an installer left that was killed", () => {
    run("install", dir);
    writeFileSync(join(dir, ".podnic.new.ipvlan"), "half");
    expect(run("uninstall", dir).status).toBe(0);
    expect(readdirSync(dir)).toEqual([]);
  });

  it("leaves what is not podnic's", () => {
    run("install", dir);
    rmSync(join(dir, "macvlan"));
    goPlugin("macvlan");
    const { status, stderr } = run("uninstall", dir);
    expect(status).toBe(0);
    expect(stderr).toContain("do not belong to podnic: macvlan");
    expect(readdirSync(dir)).toEqual(["macvlan"]);
  });

  it("says what is still kept of a name that has got another file since", () => {
    goPlugin("macvlan");
    run("install", "--backup", dir);
    rmSync(join(dir, "macvlan"));
    goPlugin("macvlan");
    const { stderr } = run("uninstall", dir);
    expect(stderr).toContain("do not belong to podnic: macvlan");
    expect(stderr).toContain(`they replaced have been kept: ${dir}/.podnic.backup/macvlan`);
  });

  it("puts back what was kept also where podnic's file is gone", () => {
    goPlugin("macvlan");
    const before = inode("macvlan");
    run("install", "--backup", dir);
    rmSync(join(dir, "macvlan"));
    expect(run("uninstall", dir).status).toBe(0);
    expect(readdirSync(dir)).toEqual(["macvlan"]);
    expect(inode("macvlan")).toBe(before);
  });

  it("can be repeated, and for a part", () => {
    run("install", dir);
    expect(run("uninstall", "--only", "sriov", "--", dir).status).toBe(0);
    expect(existsSync(join(dir, "sriov"))).toBe(false);
    expect(existsSync(join(dir, "podnic"))).toBe(true);
    for (let i = 0; i < 2; i++) expect(run("uninstall", dir).status).toBe(0);
    expect(readdirSync(dir)).toEqual([]);
  });
});
