// The properties that an interface must get.
import type { Address, Prefix } from "../ip/address.ts";
import type { RouteSpec } from "./route.ts";

export interface AddressSpec {
  address: Prefix;
  gateway?: Address;
}

export interface InterfaceSpec {
  ips: AddressSpec[];
  routes: RouteSpec[];
  /** CHECK: the routes are told by destination and gateway alone, as in results before 1.1.0; ADD may have given them more. */
  plainRoutes?: boolean;
}
