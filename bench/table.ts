/** Formats lines of cells: the first column to the left, the others to the right, two spaces between them. */
export function alignColumns(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join('  '),
    )
    .join('\n');
}

/** Formats three significant digits, without an exponent. */
export function alignSections(
  sections: readonly (readonly [string, readonly string[]])[],
  lines: string[][],
): string {
  const headings = sections.flatMap(([, names]) => names);
  const aligned = alignColumns([headings, ...lines]).split('\n');
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...lines.map((line) => line[column]!.length)),
  );
  let from = 0;
  let at = 0;
  const starts: number[] = [];
  const titles = sections.map(([title, names]) => {
    const width = widths.slice(from, from + names.length).reduce((sum, value) => sum + value + 2, -2);
    if (from > 0) starts.push(at);
    from += names.length;
    at += width + 2;
    return title.padEnd(width);
  });
  const withStrokes = (line: string) =>
    starts.reduceRight((text, start) => `${text.slice(0, start - 2)} | ${text.slice(start)}`, line);
  return [titles.join('  '), ...aligned].map((line) => withStrokes(line).trimEnd()).join('\n');
}

/** Three significant digits, no exponent. */
export function short(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}

export function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${short(bytes / 1024)} KiB` : `${short(bytes / 1024 / 1024)} MiB`;
}
