/** What is known of the small integer vectors that exports compute shapes with. */

import type {Matcher} from './matcher.js';

/** Elements of an integer vector or scalar, undefined for those known only at run time; undefined where not even their number is known. */
export function shapeValues(matcher: Matcher, name: string): (number | undefined)[] | undefined {
  const known = matcher.ints(name);
  if (known !== undefined) return known;
  const node = matcher.index.producers.get(name);
  if (node === undefined || node.domain !== '') return undefined;
  const from = (at: number) => shapeValues(matcher, node.input[at] ?? '');
  switch (node.opType) {
    case 'Identity':
    case 'Cast':
    case 'Unsqueeze':
    case 'Squeeze':
    case 'Reshape':
      return from(0);
    case 'Concat': {
      const parts = node.input.map((_, at) => from(at));
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'Gather': {
      const [values, indices] = [from(0), from(1)];
      return indices?.map((at) => (at === undefined ? undefined : values?.at(at)));
    }
    case 'Slice': {
      const [values, starts, ends] = [from(0), from(1), from(2)];
      if (values === undefined || starts?.[0] === undefined || ends?.[0] === undefined || node.input[4]) return undefined;
      return values.slice(starts[0], ends[0]);
    }
    case 'Shape':
      return matcher.index.tensorInfo(node.input[0]!)?.dims?.map((dim) => (typeof dim === 'number' ? dim : undefined));
    case 'Mul':
    case 'Div':
    case 'Add':
    case 'Sub': {
      const [a, b] = [from(0), from(1)];
      if (a?.length !== 1 || b?.length !== 1) return undefined;
      return [compute(node.opType, a[0], b[0])];
    }
    default:
      return undefined;
  }
}

function compute(op: 'Mul' | 'Div' | 'Add' | 'Sub', a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return undefined;
  return {Mul: a * b, Div: Math.trunc(a / b), Add: a + b, Sub: a - b}[op];
}
