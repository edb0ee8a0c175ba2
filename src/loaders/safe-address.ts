import { lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";

/** Refuses an address that is not one of the public internet. */
export class PrivateAddressError extends Error {}

/** Whether an address is reachable by anybody: no loopback, private, link-local, multicast or reserved one. */
export function isPublicAddress(address: string): boolean {
  const parsed = ipaddr.process(address);
  if (parsed.range() !== "unicast") return false;
  // Only this block of IPv6 is given out; outside of it are old ways to write IPv4 addresses.
  return parsed instanceof ipaddr.IPv4 || parsed.match(ipaddr.parseCIDR("2000::/3"));
}

/**
 * A look-up for a connection to `host` that gives public addresses only. The connection goes to the very address that was
 * checked, so a name that resolves to another one a moment later gains nothing.
 */
export const publicLookup: LookupFunction = (host, options, callback) => {
  const family = options.family === 4 || options.family === 6 ? options.family : 0;
  lookup(host, { family, all: true }, (error, found) => {
    if (error !== null) return callback(error, "", 0);
    const hidden = found.find(({ address }) => !isPublicAddress(address));
    if (hidden !== undefined || found.length === 0) {
      return callback(new PrivateAddressError(`${host} has the private address ${hidden?.address}`), "", 0);
    }
    if (options.all === true) return callback(null, found);
    return callback(null, found[0]!.address, found[0]!.family);
  });
};

/** @throws PrivateAddressError when a URL names a private address itself, for which no look-up is made. */
export function checkHost(hostname: string): void {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) !== 0 && !isPublicAddress(host)) throw new PrivateAddressError(`${host} is a private address`);
}
