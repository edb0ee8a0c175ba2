import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { identifier, qualified, quoteIdentifier, quoteLiteral, quoteQualified } from "../../src/db/identifiers.js";
import { ConfigurationError } from "../../src/errors.js";

describe("an identifier", () => {
  test("is one quoted token, whatever the name holds", () => {
    const name = fc.string({ unit: "binary", minLength: 1, maxLength: 15 }).filter((text) => !text.includes("\0"));
    fc.assert(
      fc.property(name, (text) => {
        const quoted = quoteIdentifier(text);
        expect(quoted).toMatch(/^"([^"]|"")+"$/su);
        expect(quoted.slice(1, -1).replaceAll('""', '"')).toBe(text);
      }),
    );
  });

  test.each<[string, unknown]>([
    ["empty", ""],
    ["with a NUL", "a\0b"],
    ["of 64 bytes", "x".repeat(64)],
    ["of 64 bytes in UTF-8", "é".repeat(32)],
    ["no string", 5],
    ["missing", undefined],
  ])("is refused when it is %s", (_, name) => {
    expect(() => quoteIdentifier(name as string)).toThrow(ConfigurationError);
  });

  test("may have 63 bytes", () => {
    expect(quoteIdentifier("x".repeat(63))).toHaveLength(65);
  });

  test("may be qualified", () => {
    expect(quoteQualified(undefined, "t")).toBe('"t"');
    expect(quoteQualified('s"', "t.u")).toBe('"s"""."t.u"');
    expect(identifier("a b").text).toBe('"a b"');
    expect(qualified("s", "t").text).toBe('"s"."t"');
    expect(() => quoteQualified("", "t")).toThrow(ConfigurationError);
  });
});

test("a literal doubles quotes and escapes backslashes", () => {
  expect(quoteLiteral("it's")).toBe("'it''s'");
  expect(quoteLiteral("a\\'b")).toBe("E'a\\\\''b'");
  expect(() => quoteLiteral("\0")).toThrow(ConfigurationError);
});
