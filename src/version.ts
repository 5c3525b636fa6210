import { version } from "../package.json";

/** podnic's own version. */
export const podnicVersion = version;
