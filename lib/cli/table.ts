/** Tables for people. */

export interface Column {
  title: string;
  align?: 'left' | 'right';
  /** Longer cells are cut in the middle, where names differ least. */
  maxWidth?: number;
}

/** Columns two spaces apart under their titles; ends with a line break. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell, index) => cut(cell, columns[index]?.maxWidth ?? Infinity)));
  const widths = columns.map(({title}, index) => Math.max(title.length, ...cells.map((row) => row[index]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => (columns[index]!.align === 'right' ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)))
      .join('  ')
      .trimEnd();
  return [columns.map(({title}) => title), ...cells].map((row) => `${line(row)}\n`).join('');
}

function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`;
}
