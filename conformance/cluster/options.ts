// What a run is asked for, and what is wrong with that: said before anything is built or started.
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { fileOption, testProgram } from "../harness/options.ts";
import { isProgram } from "../interleave/refusals.ts";
import type { Case } from "./case.ts";
import type { Flavour } from "./cluster.ts";

export interface Options {
  bin: string;
  image: string;
  multus?: Flavour[];
  case?: string[];
  guest: boolean;
  list: boolean;
  push: boolean;
  real: boolean;
  plugins?: string;
  report?: string;
}

/** Where the question is asked. */
export interface Asked {
  root: boolean;
  /** In the guest itself. */
  inGuest: boolean;
  /** By scripts/cluster, which then builds what is missing and starts the guest. */
  early: boolean;
}

export const BIN = "dist";
export const IMAGE = "dist/podnic-image.tar";

/** What no other machine has. */
const OF_GUEST = ["guest", "kernel:ipvlan", "kernel:vlan_filtering"];

/** Of --multus. */
function flavoursIn(text: string): Flavour[] {
  const flavours = text.split(",").map((one) => {
    if (one !== "thin" && one !== "thick") throw new InvalidArgumentError("Give thin, thick, or thin,thick.");
    return one;
  });
  if (new Set(flavours).size < flavours.length) throw new InvalidArgumentError("Give each variant once.");
  return flavours;
}

/** Mistakes in it end the process with 2. */
export function commandLine(): Options {
  return testProgram("cluster")
    .description(
      "Runs pods on a node of its own: containerd (scripts/containerd), Multus (scripts/go-clients, scripts/go-cluster) and podnic,\n" +
        "with stand-ins for API server and kubelet, or with real ones. In namespaces of its own, as root.\n" +
        "Exit status: 0 when cases passed and none failed, 1 when one failed, 2 for a mistake in the command, 3 when none ran.",
    )
    .option("--bin <dir>", "what npm run build made", BIN)
    .option(
      "--image <file>",
      "what npm run image made; without it podnic is installed by its command, and the cases that need it make it",
      IMAGE,
    )
    .option("--multus <flavours>", "thin, thick, or both as thin,thick; with --real thick", flavoursIn)
    .option("--case <ids>", "only cases whose id begins so", (text: string) => text.split(","))
    .option("--list", "show the cases and where each runs", false)
    .option(
      "--guest",
      "the cases that need ipvlan, VLAN filtering or virtual functions, in a QEMU guest (npm run cluster)",
      false,
    )
    .option("--real", "etcd, API server, controllers, scheduler and kubelet instead of the stand-ins", false)
    .option("--push", "only what each push runs: some cases, with Multus thin", false)
    .option("--plugins <dir>", "these plugins instead of podnic, to compare with")
    .option("--report <file>", "write JSON", fileOption)
    .parse()
    .opts<Options>();
}

/** With which variants of Multus, when a case takes any. */
export function flavoursOf({ guest, multus, push, real }: Options, inGuest: boolean): Flavour[] {
  if (push || guest || inGuest) return ["thin"];
  return multus ?? (real ? ["thick"] : ["thin", "thick"]);
}

export function selectedOf<T extends Case>(cases: readonly T[], options: Options, inGuest: boolean): T[] {
  const kind = options.real ? "real" : "stand-in";
  const guest = inGuest || options.guest;
  const flavours = flavoursOf(options, inGuest);
  return cases.filter(
    ({ id, push, needs = [], only = kind, flavours: own = flavours }) =>
      only === kind &&
      own.some((flavour) => flavours.includes(flavour)) &&
      (options.case?.some((prefix) => id.startsWith(prefix)) ??
        (!guest || needs.some((need) => OF_GUEST.includes(need)))) &&
      (!options.push || push === true),
  );
}

/** Options that exclude each other. */
function contradiction({ guest, multus = [], push, real }: Options, { inGuest, early }: Asked): string | undefined {
  if (push && real) return "--push runs with the stand-ins: give --push or --real";
  if (push && (guest || inGuest)) return "--push runs on this machine: give --push or --guest";
  if (push && multus.includes("thick")) return "--push runs with Multus thin: leave --multus out";
  if (real && (guest || inGuest)) return "the guest runs the stand-ins: give --guest or --real";
  if (real && multus.includes("thin")) return "--real runs with Multus thick: leave --multus out";
  if ((guest || inGuest) && multus.includes("thick")) return "the guest runs Multus thin: leave --multus out";
  if (guest && !early) return "--guest starts a guest: npm run cluster -- --guest";
  return undefined;
}

function unknownCase(cases: readonly Case[], options: Options, inGuest: boolean): string | undefined {
  for (const prefix of options.case ?? []) {
    const meant = cases.filter(({ id }) => id.startsWith(prefix));
    if (prefix === "" || meant.length === 0) return `no case begins with "${prefix}": --list shows them`;
    if (selectedOf(meant, options, inGuest).length === 0)
      return `--case ${prefix} does not run with these options; ${meant[0]!.id}: ${whereOf(meant[0]!)}`;
  }
  return undefined;
}

/** Those that every run calls; without one of them, the node would have the distribution's. */
const PLUGINS = ["macvlan", "host-device", "bridge", "host-local", "static"];
const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
const isHidden = (path: string): boolean =>
  ["/tmp/", "/run/"].some((place) => path.startsWith(place) && !`${process.cwd()}/`.startsWith(place));

function missingFile({ bin, image, plugins }: Options, early: boolean): string | undefined {
  const later = early && bin === BIN;
  if (!later && !(existsSync(join(bin, "podnic")) && existsSync(join(bin, "cni"))))
    return `--bin ${bin}: there is no podnic; npm run build makes ${BIN}`;
  if (image !== IMAGE && !isFile(image)) return `--image ${image}: there is no such file; npm run image makes ${IMAGE}`;
  const lacking = plugins === undefined ? undefined : PLUGINS.find((plugin) => !isProgram(join(plugins, plugin)));
  if (lacking !== undefined) return `--plugins ${plugins}: there is no program ${lacking} in it`;
  // The node has a /tmp and a /run of its own.
  for (const [option, path] of Object.entries({ bin, image, plugins }))
    if (path !== undefined && isHidden(resolve(path)))
      return `--${option} ${path}: the node does not see it; put it outside /tmp and /run`;
  return undefined;
}

/** Why nothing can run as it is asked for: one line; undefined when it can. */
export function refusal(cases: readonly Case[], options: Options, asked: Asked): string | undefined {
  return (
    contradiction(options, asked) ??
    unknownCase(cases, options, asked.inGuest) ??
    (asked.root ? undefined : "needs root: it makes namespaces and starts containers in them") ??
    missingFile(options, asked.early)
  );
}

/** Which command runs it. */
export function whereOf({ flavours, needs = [], only, push }: Case): string {
  const parts = [
    ...(only === undefined ? [] : [only === "real" ? "with --real" : "without --real"]),
    ...(flavours === undefined ? [] : [`with Multus ${flavours.join(", ")}`]),
    ...(needs.some((need) => OF_GUEST.includes(need)) ? ["with --guest"] : []),
    ...(push ? ["on each push"] : []),
  ];
  return parts.length > 0 ? parts.join(", ") : "everywhere but with --push";
}

export function listed(cases: readonly Case[]): string {
  return cases.map((test) => `${test.id} (${whereOf(test)}): ${test.expected}`).join("\n");
}
