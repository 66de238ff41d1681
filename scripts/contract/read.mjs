// Reads the contract: src/protocol/*.proto, with what its options say, limits.yaml and metrics.yaml.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';
import { LineCounter, parseDocument } from 'yaml';

/** A contract that can't be generated from: the message says where and what is expected. */
export class ContractError extends Error {}

/**
 * @param {string} folder with the .proto files
 * @returns {{root: protobuf.Root, files: string[], options: Map<string, object>, limits: Limit[], metrics: Metric[]}} root: all definitions, with comments; options:
 *   what options.proto declares, by name in camel case; limits, metrics: of the .yaml files, in their order
 */
export function readContract(folder) {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.proto'))
    .sort()
    .map((name) => path.join(folder, name));
  const root = new protobuf.Root();
  for (const file of files) {
    try {
      protobuf.parse(readFileSync(file, 'utf8'), root, {
        alternateCommentMode: true,
        preferTrailingComment: true,
      });
    } catch (error) {
      throw new ContractError(`${file}: ${error.message}`, { cause: error });
    }
  }
  const limitsFile = path.join(folder, 'limits.yaml');
  const metricsFile = path.join(folder, 'metrics.yaml');
  return {
    root,
    files: [...files, limitsFile, metricsFile],
    options: takeOptions(root),
    limits: readLimits(limitsFile),
    metrics: readMetrics(metricsFile),
  };
}

const UNITS = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/**
 * @typedef {{name: string, value: number, comment: string}} Limit
 * @returns {Limit[]}
 */
function readLimits(file) {
  const { contents, refuse } = parseYaml(file);
  return contents.items.map(({ key, value }) => {
    const [, number, unit] = /^(\d+) ?(KiB|MiB|GiB|)$/.exec(String(value?.value)) ?? [];
    const size = Number(number) * UNITS[unit];
    if (!NAME.test(key.value) || !Number.isSafeInteger(size)) {
      refuse(key, 'expected a name in small letters, and a whole number, or one with KiB, MiB or GiB');
    }
    return { name: key.value, value: size, comment: commentBefore(key) };
  });
}

/**
 * @typedef {{module: string, name: string, type: 'counter' | 'gauge', isOfStore: boolean, help: string}} Metric
 * @returns {Metric[]}
 */
function readMetrics(file) {
  const { contents, refuse } = parseYaml(file);
  return contents.items.flatMap(({ key: module, value: metrics }) =>
    metrics.items.map(({ key, value }, index) => {
      const { type, by, ...others } = value.toJSON();
      const isKnown = ['counter', 'gauge'].includes(type) && [undefined, 'store'].includes(by);
      if (!NAME.test(key.value) || !isKnown || Object.keys(others).length > 0) {
        refuse(
          key,
          'expected a name in small letters, and { type: counter } or { type: gauge }, with by: store or without',
        );
      }
      // The parser gives the first one's comment to the map.
      const help = commentBefore(key) || (index === 0 ? (metrics.commentBefore ?? '').trim() : '');
      if (help === '') refuse(key, 'expected a comment above it, which becomes its help text');
      return { module: module.value, name: key.value, type, isOfStore: by === 'store', help };
    }),
  );
}

const NAME = /^[a-z]+(_[a-z0-9]+)*$/;

function parseYaml(file) {
  const lineCounter = new LineCounter();
  const document = parseDocument(readFileSync(file, 'utf8'), { lineCounter });
  const refuse = (node, what) => {
    throw new ContractError(`${file}:${lineCounter.linePos(node.range[0]).line}: ${what}`);
  };
  if (document.errors.length > 0) throw new ContractError(`${file}: ${document.errors[0].message}`);
  return { contents: document.contents, refuse };
}

/** The last paragraph of what stands before it: what is above that names a section. */
function commentBefore(key) {
  return (key.commentBefore ?? '')
    .split(/\n\s*\n/)
    .at(-1)
    .trim();
}

/** Takes the declarations of options out of the tree: what is generated for messages must not have descriptor.proto with it. */
function takeOptions(root) {
  const options = new Map();
  /** Options whose values are messages; the types of these are no part of the contract. */
  const messages = new Map();
  const visit = (namespace) => {
    for (const child of [...namespace.nestedArray]) {
      if (child instanceof protobuf.Field && child.extend) {
        options.set(child.name, {
          name: child.name,
          type: child.type,
          of: child.extend.split('.').at(-1),
          comment: child.comment ?? '',
        });
        const type = namespace.get(child.type);
        if (type instanceof protobuf.Type) messages.set(child.name, type);
        namespace.remove(child);
      } else if (child instanceof protobuf.Namespace) visit(child);
    }
  };
  visit(root);
  for (const [name, type] of messages) {
    options.get(name).fields = new Map(type.fieldsArray.map((field) => [field.name, field]));
    type.parent?.remove(type);
  }
  return options;
}

/**
 * The values of an enumeration, in order.
 * @returns {{name: string, number: number, comment: string, options: Record<string, unknown>}[]}
 * @throws ContractError for an option that options.proto does not declare for values
 */
export function valuesOf({ root, options }, name) {
  const enumeration = root.lookupEnum(name);
  return Object.entries(enumeration.values).map(([value, number]) => {
    const given = {};
    for (const [text, setting] of Object.entries(enumeration.valuesOptions?.[value] ?? {})) {
      const [, name, field] = /^\((\w+)\)(?:\.(\w+))?$/.exec(text) ?? [];
      const option = options.get(camelCase(name ?? ''));
      const isDeclared = field === undefined ? !option?.fields : option?.fields?.has(camelCase(field));
      if (option?.of !== 'EnumValueOptions' || !isDeclared) {
        throw new ContractError(
          `${enumeration.fullName}.${value}: options.proto has no option ${text} for values`,
        );
      }
      if (field === undefined) given[option.name] = setting;
      else given[option.name] = { ...given[option.name], [camelCase(field)]: setting };
    }
    return {
      name: value,
      number,
      comment: enumeration.comments[value] ?? '',
      options: given,
    };
  });
}

/** All enumerations of the contract but the error codes, with the package that each is in. */
export function enumerationsOf({ root }) {
  const found = [];
  const visit = (namespace, names) => {
    for (const child of namespace.nestedArray) {
      if (child instanceof protobuf.Enum && child.fullName !== '.vamos.ErrorCode') {
        const inMessage = namespace instanceof protobuf.Type;
        found.push({
          fullName: child.fullName.slice(1),
          package: (inMessage ? names.slice(0, -1) : names).join('.'),
          name: inMessage ? `${namespace.name}${child.name}` : child.name,
          comment: child.comment ?? '',
          isByte: child.options?.['(is_byte)'] === true,
          isNumber: child.options?.['(is_number)'] === true,
        });
      } else if (child instanceof protobuf.Namespace) visit(child, [...names, child.name]);
    }
  };
  visit(root, []);
  return found;
}

/** What an option says of a field, by the option's name in camel case; undefined: nothing. @throws ContractError as valuesOf */
export function optionOf({ options }, field, name) {
  for (const text of Object.keys(field.options ?? {})) {
    const declared = options.get(camelCase(/^\((\w+)\)$/.exec(text)?.[1] ?? ''));
    if (text.startsWith('(') && declared?.of !== 'FieldOptions') {
      throw new ContractError(`${field.fullName}: options.proto has no option ${text} for fields`);
    }
    if (declared?.name === name) return field.options[text];
  }
  return undefined;
}

/** The error codes' properties as options.proto declares them, each with the codes that have it. */
export function errorPropertiesOf(contract) {
  const codes = valuesOf(contract, 'vamos.ErrorCode');
  return [...contract.options.values()]
    .filter(({ of, type }) => of === 'EnumValueOptions' && type === 'bool')
    .map(({ name, comment }) => ({
      name,
      comment,
      codes: codes.filter(({ options }) => options[name] === true).map((code) => code.name),
    }));
}

/**
 * The modules: each package with an enumeration `Method`, by its last name.
 * @throws ContractError for methods whose numbers are not all of one module, or whose messages are not there
 */
export function modulesOf(contract) {
  return enumerationsOf(contract)
    .filter(({ fullName }) => fullName.endsWith('.Method'))
    .map((each) => {
      const scope = contract.root.lookup(each.package);
      const methods = valuesOf(contract, each.fullName)
        .filter(({ number }) => number !== 0)
        .map(({ name, number, options }) => {
          const { takes = '', gives = '', isRepeatable = false, writesRows = false } = options.method ?? {};
          const stranger = [takes, gives].find(
            (type) => type !== '' && !(scope.get(type) instanceof protobuf.Type),
          );
          if (stranger)
            throw new ContractError(`${each.fullName}.${name}: ${each.package} has no message ${stranger}`);
          return { name, number, takes, gives, isRepeatable, writesRows };
        });
      const numbers = new Set(methods.map(({ number }) => number >> 8));
      if (numbers.size !== 1) {
        throw new ContractError(
          `${each.fullName}: its methods are of the modules ${[...numbers].join(', ')}, not of one`,
        );
      }
      return {
        name: each.package.split('.').at(-1),
        package: each.package,
        number: [...numbers][0],
        methods,
      };
    })
    .sort((one, other) => one.number - other.number);
}

export function camelCase(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}
