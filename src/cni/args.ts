// CNI_ARGS: `K=V;K=V`.

export interface CniArgs {
  /** Values of the keys the plugin knows; the last one wins, as with Multus, which sends duplicates. */
  get(key: string): string | undefined;
}
