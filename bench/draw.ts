/** Makes a plot's SVG from its description, without a browser. */
import * as vega from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

/** A plot as its figure describes it: what all plots have in common is added here. */
export type Plot = Omit<Extract<TopLevelSpec, object>, 'config' | '$schema' | 'background' | 'padding'> & {
  title: { text: string; subtitle: string[] };
};

/** Settings for bars, lines and points of plots that stand on white and on dark pages. */
const CONFIG: NonNullable<TopLevelSpec['config']> = {
  font: 'Helvetica, Arial, sans-serif',
  title: {
    anchor: 'start',
    frame: 'bounds',
    fontSize: 17,
    subtitleFontSize: 12,
    subtitleColor: '#555',
    subtitlePadding: 6,
    subtitleLineHeight: 16,
    offset: 14,
  },
  axis: {
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    gridColor: '#e4e4e4',
    domainColor: '#888',
    tickColor: '#888',
    labelColor: '#333',
    titleColor: '#333',
    labelLimit: 0,
  },
  header: { labelFontSize: 12, labelFontWeight: 'bold', titleFontSize: 12, labelColor: '#333' },
  legend: {
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    labelLimit: 300,
    symbolSize: 110,
  },
  view: { stroke: '#ccc' },
};

/** Widths of Helvetica's letters in parts of the font's size, near enough to place legends and labels. */
const LETTER_WIDTHS: readonly [RegExp, number][] = [
  [/[ijl.,:;'|! ftI()]/, 0.28],
  [/[mwMW%]/, 0.86],
  [/[A-Z…]/, 0.69],
];

/** Vega's types do not name it. */
const { textMetrics } = vega as unknown as { textMetrics: { width: typeof textWidth } };

function textWidth(
  { fontSize, fontWeight }: { fontSize?: number; fontWeight?: string },
  text: unknown,
): number {
  const widths = [...String(text)].map(
    (letter) => LETTER_WIDTHS.find(([letters]) => letters.test(letter))?.[1] ?? 0.56,
  );
  return (
    widths.reduce((sum, width) => sum + width, 0) * (fontSize ?? 11) * (fontWeight === 'bold' ? 1.06 : 1)
  );
}

/**
 * Draws a plot. The same plot always gives the same text, on every machine, so vega asks neither a canvas nor
 * fonts for widths.
 */
export async function draw(plot: Plot): Promise<string> {
  const spec = { ...plot, background: 'white', padding: 16, config: CONFIG } as TopLevelSpec;
  textMetrics.width = textWidth;
  // Parts of the drawing are numbered as they are made; each plot begins anew.
  vega.resetSVGDefIds();
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: 'none' });
  try {
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}
