// What a runtime does all day, drawn by lot: pods start and end, calls are killed, namespaces die, pods are forgotten, GC.
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/testing/random.ts";
import type { Answer, Hand } from "./node.ts";
import type { Attachment, Pod } from "./pods.ts";
import * as pods from "./pods.ts";

export interface Counts {
  adds: number;
  dels: number;
  checks: number;
  collections: number;
  kills: number;
  deaths: number;
  /** DELs that said "try again later" while the kernel was deleting the pod's namespace. */
  repeated: number;
  lost: number;
  mostAlive: number;
}

/** Of calls: one in this many is killed. */
const KILLED = 20;
/** Seconds: a call takes 3 to 30 ms. */
const KILL_WITHIN = 0.025;
/** CNI's "try again later". */
const TRY_AGAIN = 11;
/** Milliseconds: how long a busy kernel may take to delete a namespace, and when a runtime asks again. */
const [TEARDOWN, PAUSE] = [10_000, 500];

export class Runtime {
  readonly alive = new Map<string, Pod>();
  readonly counts: Counts = {
    ...{ adds: 0, dels: 0, checks: 0, collections: 0 },
    ...{ kills: 0, deaths: 0, repeated: 0, lost: 0, mostAlive: 0 },
  };
  readonly wrong: string[] = [];
  readonly #random: Random;
  readonly #free = new Set(pods.devices);
  #next = 0;
  /**
   * The GC that runs. A pod that started in the meantime would be missing in what GC was told: the runtime's fault, not GC's.
   * Who has waited for one looks again, and in its own function: another who waited, too, may have begun the next.
   */
  #collecting: Promise<void> | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /** One thing that may happen. */
  async act(hand: Hand, target: number): Promise<void> {
    const dice = this.#random.next();
    const pod = dice < 0.02 ? undefined : this.#pick();
    if (dice < 0.02) return this.collect(hand);
    if (pod === undefined || this.#random.chance(this.alive.size < target ? 0.75 : 0.25)) return this.start(hand);
    if (dice < 0.15) return this.#during(pod, () => this.#check(hand, pod));
    if (dice < 0.3) return this.#during(pod, () => this.#die(hand, pod));
    if (dice < 0.36) return this.#during(pod, () => this.#lose(hand, pod));
    await this.stop(hand, pod, true);
  }

  async start(hand: Hand): Promise<void> {
    while (this.#collecting !== undefined) await this.#collecting;
    const pod = this.#draw();
    this.alive.set(pod.id, pod);
    this.counts.mostAlive = Math.max(this.counts.mostAlive, this.alive.size);
    await hand.run(`ip netns add ${pod.id}; ip -n ${pod.id} link set lo up`);
    for (const attachment of pod.attachments) {
      if (await this.#add(hand, pod, attachment)) continue;
      await this.stop(hand, pod, true);
      return;
    }
    pod.busy = false;
  }

  async stop(hand: Hand, pod: Pod, mayKill: boolean, netns = true): Promise<void> {
    pod.busy = true;
    for (const attachment of [...pod.attachments].reverse()) await this.#del(hand, pod, attachment, mayKill, netns);
    await hand.run(`ip netns del ${pod.id} 2>/dev/null; true`);
    await this.#gone(hand, pod);
  }

  /** GC of every network, as a runtime calls it: valid is whatever it has not forgotten. */
  async collect(hand: Hand): Promise<void> {
    while (this.#collecting !== undefined) await this.#collecting;
    this.#collecting = this.#collect(hand).finally(() => {
      this.#collecting = undefined;
    });
    await this.#collecting;
  }

  async #collect(hand: Hand): Promise<void> {
    const lost = [...this.alive.values()].filter((pod) => pod.lost && !pod.busy);
    for (const network of pods.networks) {
      const valid = [...this.alive.values()]
        .filter((pod) => !lost.includes(pod))
        .flatMap((pod) => pod.attachments.map(({ ifName }) => ({ id: pod.id, ifName })));
      const { status, out } = await hand.call({ command: "GC", config: pods.collectConfig(network, valid) });
      this.counts.collections++;
      if (status !== 0) this.wrong.push(`GC of ${network.name}: ${status} ${out}`);
    }
    for (const pod of lost) if (this.alive.has(pod.id)) await this.#gone(hand, pod);
  }

  async #during(pod: Pod, body: () => Promise<void>): Promise<void> {
    pod.busy = true;
    await body();
    pod.busy = false;
  }

  #pick(): Pod | undefined {
    const idle = [...this.alive.values()].filter((pod) => !pod.busy && !pod.lost);
    return idle.length === 0 ? undefined : this.#random.pick(idle);
  }

  #draw(): Pod {
    const id = `pod${this.#next++}`;
    const dice = this.#random.next();
    const free = [...this.#free][0];
    const attachments: Attachment[] = [];
    if (dice < 0.1 && free !== undefined) {
      this.#free.delete(free);
      attachments.push({ network: pods.device, ifName: "eth0", device: free });
    } else {
      const network = dice < 0.2 ? pods.fixed : dice < 0.6 ? pods.macvlan : pods.bridge;
      attachments.push({ network, ifName: "eth0" });
    }
    if (this.#random.chance(0.25))
      attachments.push({ network: this.#random.pick([pods.macvlan, pods.bridge]), ifName: "net1" });
    return { id, attachments, busy: true, dead: false, lost: false };
  }

  #call(hand: Hand, command: string, pod: Pod, attachment: Attachment, kill: boolean, netns = true): Promise<Answer> {
    const call = {
      ...{ command, container: pod.id, ifName: attachment.ifName },
      config: pods.configOf(attachment, pod, command !== "ADD"),
      ...(netns && { netns: `/run/netns/${pod.id}` }),
    };
    return hand.call(call, kill ? 0.0005 + this.#random.next() * KILL_WITHIN : undefined);
  }

  async #add(hand: Hand, pod: Pod, attachment: Attachment): Promise<boolean> {
    this.counts.adds++;
    const { status, out } = await this.#call(hand, "ADD", pod, attachment, this.#random.below(KILLED) === 0);
    if (status === 137) {
      this.counts.kills++;
      return false;
    }
    if (status !== 0) {
      this.wrong.push(`ADD of ${pod.id} in ${attachment.network.name}: ${status} ${out}`);
      return false;
    }
    const result = JSON.parse(out) as NonNullable<Attachment["result"]>;
    const others = pods.leasesOf(this.alive.values());
    for (const { address } of result.ips ?? []) {
      const holder = others.get(`${attachment.network.name}/${address.split("/")[0]}`);
      if (holder !== undefined) this.wrong.push(`${address} is ${holder}'s, and ${pod.id} got it`);
      if (!address.startsWith(attachment.network.prefix)) this.wrong.push(`${pod.id} got ${address}`);
    }
    attachment.result = result;
    return true;
  }

  /** Until it succeeds; kubelet does the same. */
  async #del(hand: Hand, pod: Pod, attachment: Attachment, mayKill: boolean, netns: boolean): Promise<void> {
    const end = Date.now() + TEARDOWN;
    for (let attempt = 0; ; attempt++) {
      this.counts.dels++;
      const kill = mayKill && attempt < 3 && this.#random.below(KILLED) === 0;
      const { status, out } = await this.#call(hand, "DEL", pod, attachment, kill, netns);
      if (status === 137) {
        this.counts.kills++;
        continue;
      }
      if (pod.dead && status === 1 && codeOf(out) === TRY_AGAIN && Date.now() < end) {
        this.counts.repeated++;
        await sleep(PAUSE);
        continue;
      }
      if (status !== 0) this.wrong.push(`DEL of ${pod.id} in ${attachment.network.name}: ${status} ${out}`);
      // Free from here on: another pod may have the address before we hear more.
      delete attachment.result;
      return;
    }
  }

  async #check(hand: Hand, pod: Pod): Promise<void> {
    for (const attachment of pod.attachments) {
      this.counts.checks++;
      const { status, out } = await this.#call(hand, "CHECK", pod, attachment, false);
      if (status !== 0) this.wrong.push(`CHECK of ${pod.id} in ${attachment.network.name}: ${status} ${out}`);
    }
  }

  /** The namespace goes first; DEL then gets a path that leads nowhere, or none. */
  async #die(hand: Hand, pod: Pod): Promise<void> {
    this.counts.deaths++;
    await hand.run(`ip netns del ${pod.id}`);
    pod.dead = true;
    await this.stop(hand, pod, true, this.#random.chance(0.5));
  }

  /** No DEL will come: the runtime has lost its memory. */
  async #lose(hand: Hand, pod: Pod): Promise<void> {
    this.counts.lost++;
    await hand.run(`ip netns del ${pod.id}`);
    pod.lost = true;
  }

  async #gone(hand: Hand, pod: Pod): Promise<void> {
    this.alive.delete(pod.id);
    for (const { device } of pod.attachments) {
      if (device === undefined) continue;
      // A veth goes with its namespace; a card would have come home.
      const is = await hand.run(`ip -o link show ${device} 2>/dev/null`);
      if (is === "") await hand.makeDevice(device);
      this.#free.add(device);
    }
  }
}

/** Of an error document; undefined for anything else. */
function codeOf(out: string): unknown {
  try {
    return (JSON.parse(out) as { code?: unknown } | null)?.code;
  } catch {
    return undefined;
  }
}
