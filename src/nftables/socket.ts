// The socket for nf_tables: queries, and transactions that take effect as a whole or not at all.

import { host } from "../host/host.ts";
import type { Writer } from "../netlink/bytes.ts";
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_NONREC } from "../netlink/constants.ts";
import { type Besides, type Dump, NetlinkSocket, type PayloadReader } from "../netlink/socket.ts";
import * as c from "./constants.ts";
import {
  batchAttributes,
  type ChainAttributes,
  chainAttributes,
  handleIn,
  type RuleAttributes,
  readGeneration,
  ruleAttributes,
  type TableAttributes,
  tableAttributes,
  writeHeader,
} from "./message.ts";

/** Where something is. */
export interface Place {
  /** NFPROTO_*. */
  readonly family: number;
  readonly table: string;
}

const type = (message: number): number => (c.NFNL_SUBSYS_NFTABLES << 8) | message;

/**
 * Between `start` and `commit` come the changes. The kernel makes them all at once, or none of them. Rules that were added have their
 * handles in what `commit` returns, in their order.
 */
export class NftSocket extends NetlinkSocket {
  /** A socket in the namespace this process is in; it stays there. */
  static open(): NftSocket {
    return new NftSocket(c.NETLINK_NETFILTER, 0);
  }

  /**
   * Last thing before this process ends, after something was deleted: the kernel makes the last one who closes the socket wait until the memory
   * of that is free, which is 12 ms. That is not we, where the host has child processes.
   */
  leave(): void {
    host.leaveAside(this.fd);
  }

  /** With `generation`, the kernel refuses the transaction (ERESTART) when anything has changed since `generation()` said so. */
  start(generation?: number): void {
    const out = this.append("nft transaction", c.NFNL_MSG_BATCH_BEGIN, 0);
    writeHeader(out, 0, c.NFNL_SUBSYS_NFTABLES);
    batchAttributes.write(out, { generation });
  }

  /** Sends the transaction. Throws the first refusal: then nothing was changed. */
  commit(): number[] {
    writeHeader(this.append("nft transaction", c.NFNL_MSG_BATCH_END, 0), 0, c.NFNL_SUBSYS_NFTABLES);
    return this.#send();
  }

  /** Asks whether the kernel would make the changes; it makes none, because the transaction has no end. Throws the first refusal. */
  rehearse(): void {
    this.#send();
  }

  #send(): number[] {
    const handles: number[] = [];
    const see: Besides = (kind, bytes, start, end) => {
      if (kind === type(c.NFT_MSG_NEWRULE)) handles.push(handleIn(bytes, start, end) ?? 0);
    };
    for (const refusal of this.runEach(see)) if (refusal !== undefined) throw refusal;
    return handles;
  }

  /** Makes a table, or leaves the one that is there. */
  addTable(family: number, attributes: TableAttributes): void {
    const out = this.#change(`nft add table ${attributes.name}`, c.NFT_MSG_NEWTABLE, 0, family);
    tableAttributes.write(out, attributes);
  }

  /** Makes a chain, or leaves the one that is there; with `only`, that is refused (EEXIST). */
  addChain(family: number, attributes: ChainAttributes, only = false): void {
    const flags = only ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE;
    const operation = `nft add chain ${attributes.table} ${attributes.name}`;
    chainAttributes.write(this.#change(operation, c.NFT_MSG_NEWCHAIN, flags, family), attributes);
  }

  /** Deletes a chain and its rules; with `onlyEmpty`, one with rules is refused (EBUSY). */
  deleteChain({ family, table }: Place, name: string, onlyEmpty = false): void {
    const flags = onlyEmpty ? NLM_F_NONREC : 0;
    const out = this.#change(`nft delete chain ${table} ${name}`, c.NFT_MSG_DELCHAIN, flags, family);
    chainAttributes.write(out, { table, name });
  }

  /** Deletes a table in which nothing is; any other is refused (EBUSY). */
  deleteEmptyTable({ family, table }: Place): void {
    const out = this.#change(`nft delete table ${table}`, c.NFT_MSG_DELTABLE, NLM_F_NONREC, family);
    tableAttributes.write(out, { name: table });
  }

  /** Adds a rule at the end of its chain, or inserts it at the beginning; `echo` asks for its handle. */
  addRule(family: number, attributes: RuleAttributes, echo = false, at: "end" | "beginning" = "end"): void {
    const flags = NLM_F_CREATE | (at === "end" ? NLM_F_APPEND : 0) | (echo ? NLM_F_ECHO : 0);
    const operation = `nft ${at === "end" ? "add" : "insert"} rule ${attributes.table} ${attributes.chain}`;
    ruleAttributes.write(this.#change(operation, c.NFT_MSG_NEWRULE, flags, family), attributes);
  }

  /** Deletes a rule by its handle, or without one all of the chain. */
  deleteRule({ family, table }: Place, chain: string, handle?: number): void {
    const out = this.#change(`nft delete rule ${table} ${chain}`, c.NFT_MSG_DELRULE, 0, family);
    ruleAttributes.write(out, { table, chain, handle });
  }

  #change(operation: string, message: number, flags: number, family: number): Writer {
    const out = this.append(operation, type(message), flags | NLM_F_ACK);
    writeHeader(out, family);
    return out;
  }

  /** The number of the last change to any table of this namespace. */
  generation(): number {
    return this.get("nft monitor", type(c.NFT_MSG_GETGEN), (out) => writeHeader(out, 0), readGeneration);
  }

  getTable<T>({ family, table }: Place, read: PayloadReader<T>): T {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      tableAttributes.write(out, { name: table });
    };
    return this.get(`nft list table ${table}`, type(c.NFT_MSG_GETTABLE), write, read);
  }

  getChain<T>({ family, table }: Place, name: string, read: PayloadReader<T>): T {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      chainAttributes.write(out, { table, name });
    };
    return this.get(`nft list chain ${table} ${name}`, type(c.NFT_MSG_GETCHAIN), write, read);
  }

  getRule<T>({ family, table }: Place, chain: string, handle: number, read: PayloadReader<T>): T {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      ruleAttributes.write(out, { table, chain, handle });
    };
    return this.get(`nft list rule ${table} ${chain}`, type(c.NFT_MSG_GETRULE), write, read);
  }

  /** The chains of a family, of all tables. */
  dumpChains<T>(family: number, read: PayloadReader<T | undefined>): Dump<T> {
    const write = (out: Writer): void => writeHeader(out, family);
    return this.dump("nft list chains", type(c.NFT_MSG_GETCHAIN), write, read);
  }

  /** The rules of a chain, in their order; none when there is no such chain. */
  dumpRules<T>({ family, table }: Place, chain: string, read: PayloadReader<T | undefined>): Dump<T> {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      ruleAttributes.write(out, { table, chain });
    };
    return this.dump(`nft list chain ${table} ${chain}`, type(c.NFT_MSG_GETRULE), write, read);
  }
}
