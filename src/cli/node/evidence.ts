// Determines whether a container still exists. A host-local lease contains only a container ID and an interface name, so podnic checks
// everything else on the node that refers to the container. A container is gone only if this is certain.
import { idInAlias } from "../../plugin/hash.ts";
import type { Lessee } from "../../plugin/lessees.ts";
import { aliasPrefix } from "../../plugin/upper/own.ts";
import type { CachedAttachment } from "./cache.ts";
import type { Holder } from "./holders.ts";
import type { Inside } from "./inside.ts";
import { type Life, type Namespaces, NO_PATH, namesIn } from "./namespaces.ts";

/** Life, and what says so. */
export interface Evidence {
  life: Life;
  why: string;
}

/** Directories in which runtimes have one entry, named by its id, for each container that runs. */
const RUNTIMES = [
  "/run/containerd/io.containerd.runtime.v2.task/k8s.io",
  "/run/containerd/io.containerd.runtime.v2.task/default",
  "/run/containerd/io.containerd.runtime.v2.task/moby",
  "/run/containers/storage/overlay-containers",
  "/run/crun",
  "/run/runc",
];

/** The mark of our links on a master: podnic:NETWORK:CONTAINER (ownerAlias). */
const ALIAS = new RegExp(`^${aliasPrefix}[^:]*:(.+)$`);

export interface Sources {
  namespaces: Namespaces;
  holders: Pick<Holder, "key" | "life" | "netns">[];
  insides: Pick<Inside, "namespace" | "attached" | "addresses">[];
  cache: CachedAttachment[];
  /** Seconds since the epoch; 0: not known. */
  bootTime: number;
  /** Paths of namespaces that nobody could look into: what is missing may be there. */
  blind?: string[];
}

export class Containers {
  /** By the ID as it is in an alias. */
  readonly #found = new Map<string, Evidence[]>();
  /** The same: path of the namespace that has an interface with this alias. */
  readonly #named = new Map<string, string>();
  /** Path of the namespace that has an address. */
  readonly #addresses = new Map<string, string>();
  /** Path of the namespace of an attachment that was given an address, when that is not gone. */
  readonly #given = new Map<string, string>();
  /** Attachments whose device is returned from wherever it is, before the lease is released. */
  readonly #returning = new Set<string>();
  readonly #bootTime: number;
  readonly #seesAll: boolean;
  readonly #blind: Evidence | undefined;

  constructor({ namespaces, holders, insides, cache, bootTime, blind = [] }: Sources, runtimes = RUNTIMES) {
    this.#bootTime = bootTime;
    this.#blind = blind[0] === undefined ? undefined : { life: "unknown", why: `podnic cannot look into ${blind[0]}` };
    this.#seesAll = namespaces.seesProcesses;
    for (const { key, life, netns } of holders) {
      this.#add(key.containerId, { life, why: inWords(life, netns.path) });
      if (life === "gone") this.#returning.add(idOf(key));
    }
    for (const { containerId, namespaces: paths, addresses } of cache) {
      for (const path of paths) {
        const life = namespaces.lifeOf({ path, dev: 0, ino: 0 });
        this.#add(containerId, { life, why: inWords(life, path) });
        if (life !== "gone") for (const address of addresses) this.#given.set(address, path);
      }
    }
    for (const { namespace, attached, addresses } of insides) {
      for (const { alias } of attached) {
        const id = ALIAS.exec(alias)?.[1];
        if (id !== undefined) this.#named.set(idInAlias(id), namespace.path);
      }
      for (const address of addresses) if (!isLocal(address)) this.#addresses.set(address, namespace.path);
    }
    for (const directory of runtimes) {
      for (const id of namesIn(directory)) this.#add(id, { life: "alive", why: `it is in ${directory}` });
    }
  }

  #add(containerId: string, evidence: Evidence): void {
    const id = idInAlias(containerId);
    const known = this.#found.get(id);
    if (known === undefined) this.#found.set(id, [evidence]);
    else known.push(evidence);
  }

  /**
   * The holder of a lease. One sign of life is enough. A pod can give its interfaces any alias and any address, so that these keep a lease but
   * do not show whose it is. `written`: when the lease was, in seconds since the epoch; before the last boot means that its container is gone, for
   * which a clock that was wrong must not be the only evidence against a sign of life.
   */
  holderOf(owner: Lessee, address: string, written: () => number): Evidence {
    const { containerId } = owner;
    const found = this.#found.get(idInAlias(containerId)) ?? [];
    const alive = found.find(({ life }) => life === "alive");
    if (alive !== undefined) return alive;
    const isReturning = this.#returning.has(idOf(owner));
    const counts = (path: string | undefined): path is string =>
      path !== undefined && !(path === NO_PATH && isReturning);
    const named = this.#named.get(idInAlias(containerId));
    if (counts(named)) return { life: "unknown", why: `an interface in ${named} has its alias` };
    const at = address === "" ? undefined : this.#addresses.get(address);
    if (counts(at)) return { life: "unknown", why: `${at} has this address` };
    if (this.#blind !== undefined) return this.#blind;
    const gone = found.find(({ life }) => life === "gone");
    if (gone !== undefined) return gone;
    if (written() < this.#bootTime) return { life: "gone", why: "the lease was written before the node booted" };
    return { life: "unknown", why: "nothing on this node refers to it" };
  }

  /** The holder of a lease that names none: it was emptied, or its writer was killed. It is free when no pod can have the address. */
  holderOfNobodys(address: string, written: () => number): Evidence {
    const given = this.#given.get(address);
    if (given !== undefined) return { life: "alive", why: `${NOBODY}, and ${given} has this address` };
    const at = this.#addresses.get(address);
    if (at !== undefined) return { life: "unknown", why: `${NOBODY}, and ${at} has this address` };
    if (this.#blind !== undefined) return this.#blind;
    if (written() < this.#bootTime)
      return { life: "gone", why: `${NOBODY}, and it was written before the node booted` };
    if (this.#seesAll) return { life: "gone", why: `${NOBODY}, and no pod has the address` };
    return { life: "unknown", why: `${NOBODY}, and podnic cannot see all pods` };
  }
}

/** Other interfaces of the same container may live on where its device is. */
const idOf = ({ containerId, ifName }: Lessee): string => `${ifName} ${idInAlias(containerId)}`;

/** "its lease has no owner" and what follows. */
const NOBODY = "its lease has no owner";

function inWords(life: Life, path: string): string {
  if (life === "alive") return `in ${path}`;
  return life === "gone" ? `${path} is gone` : `podnic cannot see ${path || "its namespace"}`;
}

/** Every namespace has these. */
function isLocal(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address.startsWith("fe80:");
}
