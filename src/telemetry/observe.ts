import { context, type Attributes } from "@opentelemetry/api";
import { Call, type Caller } from "./call.js";

/** Methods of a class, and what is said of a call of each: from its arguments, with numbers and words of ours only. */
export type ObservedMethods<T> = {
  readonly [K in keyof T & string]?: T[K] extends (...args: infer A) => unknown
    ? true | ((args: A, caller: Caller) => Attributes)
    : never;
};

type AnyMethod = (this: object, ...args: unknown[]) => unknown;

const callers = new WeakMap<object, () => Caller>();

/** Says on whose behalf the calls of an object are made. */
export function setCaller(target: object, caller: () => Caller): void {
  callers.set(target, caller);
}

export function callerOf(target: object): Caller | undefined {
  return callers.get(target)?.();
}

/** Does the work of one public call under a span of its own, a child of the one that is active. */
export async function observeCall<T>(
  target: object,
  operation: string,
  work: () => Promise<T>,
  describe?: (caller: Caller) => Attributes,
): Promise<T> {
  const caller = callerOf(target);
  if (caller === undefined) return work();
  const call = new Call(caller, operation, describe);
  try {
    const result = await context.with(call.context, work);
    call.end(Array.isArray(result) ? result.length : undefined);
    return result;
  } catch (error) {
    call.fail(error);
    throw error;
  }
}

/**
 * Gives calls of these methods of a class a span. What methods call of each other is no call of its own: leave out those that
 * only pass on to another one here.
 */
export function observeMethods<T extends object>(prototype: T, methods: ObservedMethods<T>): void {
  type Described = true | ((args: unknown[], caller: Caller) => Attributes);
  for (const [name, describe] of Object.entries(methods) as [string, Described][]) {
    const { value, ...rest } = Object.getOwnPropertyDescriptor(prototype, name)!;
    const method = value as (this: T, ...args: unknown[]) => Promise<unknown>;
    const observedMethod = function (this: T, ...args: unknown[]): Promise<unknown> {
      const work = (): Promise<unknown> => method.apply(this, args);
      return observeCall(this, name, work, describe === true ? undefined : (caller) => describe(args, caller));
    };
    Object.defineProperty(observedMethod, "name", { value: name });
    Object.defineProperty(prototype, name, { ...rest, value: observedMethod });
  }
}

/**
 * A part of a store whose own methods get a span for each call from outside, named `part.method`; within, they call each
 * other as they are.
 *
 * @param streams methods that return an iterable instead of a promise: their span lasts from the first item to the last.
 */
export function observed<T extends object>(
  owner: object,
  part: string,
  target: T,
  streams: readonly (keyof T & string)[] = [],
): T {
  const methods = new Set(Object.getOwnPropertyNames(Object.getPrototypeOf(target)));
  methods.delete("constructor");
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function" || typeof name !== "string" || !methods.has(name)) return value;
      const method = value as AnyMethod;
      const operation = `${part}.${name}`;
      return (...args: unknown[]): unknown => {
        if ((streams as readonly string[]).includes(name)) {
          return observeStream(owner, operation, method.apply(target, args) as AsyncIterable<unknown>);
        }
        return observeCall(owner, operation, () => method.apply(target, args) as Promise<unknown>);
      };
    },
  });
}

async function* observeStream<T>(owner: object, operation: string, source: AsyncIterable<T>): AsyncGenerator<T> {
  const caller = callerOf(owner);
  if (caller === undefined) return yield* source;
  const call = new Call(caller, operation);
  const iterator = source[Symbol.asyncIterator]();
  const next = context.bind(call.context, () => iterator.next());
  let rows = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    for (let item = await next(); item.done !== true; item = await next()) {
      rows += 1;
      yield item.value;
    }
  } catch (error) {
    failure = { error };
    throw error;
  } finally {
    // Whoever reads may have stopped before the end; behind it, this does nothing.
    await iterator.return?.();
    if (failure === undefined) call.end(rows);
    else call.fail(failure.error);
  }
}
