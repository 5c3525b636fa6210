// The suite is of use to people who do not build podnic: it runs from a checkout without src/, dist/ or generated/, on a machine that
// has no more than what the README asks for.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const plugins = "/usr/lib/cni";
/** dpkg, sh, ls and so on are on every Debian; iproute2 and util-linux are what the README names. */
const PACKAGES = "util-linux mount coreutils dash iproute2 sed grep tar";

const script = (checkout: string, programs: string) => `
set -e
mkdir ${programs}
cp -P $(dpkg -L ${PACKAGES} | grep -E '^(/usr)?/s?bin/[^/]+$' | sed 's|^/usr||; s|^|/usr|' | sort -u) ${programs} 2>/dev/null || true
cp "$(readlink -f "$(command -v node)")" ${programs}/node
mount --bind ${programs} /usr/bin
mount --bind ${programs} /usr/sbin
cd ${checkout}
PATH=/usr/sbin:/usr/bin exec node scripts/ts.mjs conformance/main.ts --bin ${plugins} --case CID-0,DEL-0,HL-1- --report report.json
`;

const possible = process.getuid?.() === 0 && existsSync(`${plugins}/macvlan`);

test.skipIf(!possible)("runs without podnic, with util-linux and iproute2 only", { timeout: 120_000 }, () => {
  const top = mkdtempSync(join(tmpdir(), "cni-standalone-"));
  try {
    const checkout = join(top, "checkout");
    mkdirSync(join(checkout, "scripts"), { recursive: true });
    cpSync(join(root, "conformance"), join(checkout, "conformance"), { recursive: true });
    for (const file of ["package.json", "scripts/ts.mjs"]) cpSync(join(root, file), join(checkout, file));
    symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"));
    const run = script(checkout, join(top, "programs"));
    try {
      execFileSync("unshare", ["--mount", "sh", "-c", run], { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8" });
    } catch (error) {
      // 1: these plugins fail a case, which is their affair.
      expect((error as { status: number }).status, String((error as Error).message)).toBe(1);
    }
    const { cases } = JSON.parse(readFileSync(join(checkout, "report.json"), "utf8"));
    expect(cases.length).toBeGreaterThan(20);
    expect(cases.filter((c: { got: string }) => /the case itself failed|not found/.test(c.got))).toEqual([]);
    expect(cases.filter((c: { outcome: string }) => c.outcome === "passed").length).toBeGreaterThan(15);
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
});
