import {describe, expect, it} from 'vitest';

import {formatTable} from './table.js';

describe('formatTable', () => {
  it('aligns columns under their titles', () => {
    const text = formatTable(
      [{title: 'name'}, {title: 'bytes', align: 'right'}],
      [
        ['a', '1'],
        ['longer', '1234567'],
      ],
    );
    expect(text).toBe('name      bytes\na             1\nlonger  1234567\n');
  });

  it('cuts long cells in the middle', () => {
    expect(formatTable([{title: 'n', maxWidth: 7}], [['/model/layer.0/conv']])).toBe('n\n/mo…onv\n');
  });

  it('is its titles when there are no rows', () => {
    expect(formatTable([{title: 'a'}, {title: 'b'}], [])).toBe('a  b\n');
  });
});
