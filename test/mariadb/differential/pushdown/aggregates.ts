/** Random lists of aggregate functions. */
import { pick } from '../schema.js';
import { arithmetic, type Scope } from './conditions.js';

export interface Aggregates {
  list: string;
  /** The result depends on the order in which rows are met: sums of doubles, and which of equal texts is the least. */
  needsOneOrder: boolean;
}

interface Spec {
  form: number;
  column: number;
  argument: number;
}

export function aggregateList(functions: readonly Spec[], scope: Scope): Aggregates {
  let needsOneOrder = false;
  const list = functions.map(({ form, column, argument }, index) => {
    const { name, type } = pick(scope.columns, column);
    const isNumber = ['integer', 'decimal', 'float', 'bit'].includes(type.family);
    const isText = type.family === 'text' || type.family === 'bytes';
    let value = name;
    if (isNumber && argument % 3 === 0 && !type.isWide)
      value = arithmetic({ name, type }, argument >> 2, scope);
    else if (isText && argument % 2 === 0) value = `LENGTH(${name})`;
    const isExact = (type.family === 'integer' || type.family === 'decimal') && !value.includes('e0');
    const distinct = form % 9 === 0 ? 'DISTINCT ' : '';
    switch (pick(['COUNT', 'SUM', 'MIN', 'MAX', 'AVG', 'SUM', 'COUNT(*)', 'OTHER'], form)) {
      case 'COUNT':
        return `COUNT(${distinct}${value}) AS a${index}`;
      case 'COUNT(*)':
        return `COUNT(*) AS a${index}`;
      case 'MIN':
      case 'MAX':
        needsOneOrder ||= !isExact;
        return `${form % 2 ? 'MIN' : 'MAX'}(${distinct}${value}) AS a${index}`;
      case 'OTHER':
        needsOneOrder = true;
        return `${pick(['BIT_OR', 'BIT_AND', 'STDDEV_POP', 'VARIANCE'], argument)}(${isExact ? name : 'id'}) AS a${index}`;
      default:
        needsOneOrder ||= !isExact;
        return `${form % 16 < 8 ? 'SUM' : 'AVG'}(${distinct}${value}) AS a${index}`;
    }
  });
  return { list: list.join(', '), needsOneOrder };
}
