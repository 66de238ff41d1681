/** Takes strings and comments out of source text, which the printers don't break. */
import ts from 'typescript';

const CPP = /R"\(.*?\)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'|\/\/[^\n]*|\/\*.*?\*\//gs;

/** Returns the text with its lines, without what strings, templates and comments hold. */
export function codeWithoutLiterals(file: string, text: string): string {
  if (!/\.(ts|mjs|js)$/.test(file)) return text.replaceAll(CPP, newlinesOf);
  const literals = literalsOf(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true));
  let left = '';
  let at = 0;
  for (const [start, end] of literals) {
    left += text.slice(at, start) + newlinesOf(text.slice(start, end));
    at = end;
  }
  return (left + text.slice(at)).replaceAll(/\/\/[^\n]*|\/\*.*?\*\//gs, newlinesOf);
}

const newlinesOf = (text: string): string => text.replaceAll(/[^\n]/g, '');

/** Returns where literals stand, in order. The printer breaks no template, so all of it is text. */
function literalsOf(source: ts.SourceFile): [start: number, end: number][] {
  const found: [number, number][] = [];
  const visit = (node: ts.Node): void => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);
    if (isText || ts.isRegularExpressionLiteral(node)) found.push([node.getStart(source), node.end]);
    else ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
