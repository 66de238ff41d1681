// Reads the contract, src/protocol/*.proto, with what its options say.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';

/** A contract that can't be generated from: the message says where and what is expected. */
export class ContractError extends Error {}

/**
 * @param {string} folder with the .proto files
 * @returns {{root: protobuf.Root, files: string[], options: Map<string, object>}} root: all definitions, with comments; options:
 *   what options.proto declares, by name in camel case
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
  return { root, files, options: takeOptions(root) };
}

/** Takes the declarations of options out of the tree: what is generated for messages must not have descriptor.proto with it. */
function takeOptions(root) {
  const options = new Map();
  const visit = (namespace) => {
    for (const child of [...namespace.nestedArray]) {
      if (child instanceof protobuf.Field && child.extend) {
        options.set(child.name, {
          name: child.name,
          type: child.type,
          of: child.extend.split('.').at(-1),
          comment: child.comment ?? '',
        });
        namespace.remove(child);
      } else if (child instanceof protobuf.Namespace) visit(child);
    }
  };
  visit(root);
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
    const given = Object.entries(enumeration.valuesOptions?.[value] ?? {}).map(([text, setting]) => {
      const option = options.get(camelCase(text.replace(/^\(|\)$/g, '')));
      if (option?.of !== 'EnumValueOptions') {
        throw new ContractError(`${name}.${value}: options.proto has no option ${text} for values`);
      }
      return [option.name, setting];
    });
    return {
      name: value,
      number,
      comment: enumeration.comments[value] ?? '',
      options: Object.fromEntries(given),
    };
  });
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

export function camelCase(name) {
  return name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}
