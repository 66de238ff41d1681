// Writes the messages of tables.proto as C++ structs with their coders, which protozero reads and writes.
import protobuf from 'protobufjs';
import { commentOf } from './cpp_text.mjs';
import { ContractError, camelCase, optionOf } from './read.mjs';

const SCALARS = {
  bool: 'bool',
  uint32: 'uint32_t',
  uint64: 'uint64_t',
  int32: 'int32_t',
  string: 'std::string',
};
const DEFAULTS = { bool: 'false', uint32: '0', uint64: '0', int32: '0' };

/** The messages of a package, each behind those that it has in it, with their fields in the order of their numbers. */
function messagesOf(contract, packageName) {
  const types = contract.root.lookup(packageName).nestedArray.filter((type) => type instanceof protobuf.Type);
  const ordered = [];
  const add = (type) => {
    if (ordered.includes(type)) return;
    for (const field of type.fieldsArray) {
      field.resolve();
      if (field.resolvedType instanceof protobuf.Type) add(field.resolvedType);
    }
    ordered.push(type);
  };
  types.forEach(add);
  return ordered
    .filter((type) => type.fieldsArray.length > 0)
    .map((type) => ({
      name: type.name,
      comment: type.comment ?? '',
      fields: [...type.fieldsArray]
        .sort((one, other) => one.id - other.id)
        .map((field) => asCpp(contract, field)),
    }));
}

function asCpp(contract, field) {
  const where = field.fullName.slice(1);
  const isView = optionOf(contract, field, 'isView') === true;
  const most = optionOf(contract, field, 'most');
  const type = typeOf(field, isView, where);
  const result = { name: field.name, number: field.id, comment: field.comment ?? '' };
  if (!field.repeated) {
    if (most !== undefined) throw new ContractError(`${where}: only a repeated field has a most`);
    return { ...result, type, initial: initialOf(field, type) };
  }
  if (!contract.limits.some(({ name }) => name === most)) {
    throw new ContractError(`${where}: expected [(most) = "NAME"], the name of a limit of limits.yaml`);
  }
  return { ...result, type: `std::vector<${type}>`, initial: '', most: camelCase(most) };
}

function typeOf(field, isView, where) {
  if (field.type === 'bytes' || field.type === 'string') return isView ? 'std::string_view' : 'std::string';
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) {
    return resolvedType.parent instanceof protobuf.Type
      ? resolvedType.parent.name + resolvedType.name
      : resolvedType.name;
  }
  const type = resolvedType instanceof protobuf.Type ? resolvedType.name : SCALARS[field.type];
  if (type === undefined) throw new ContractError(`${where}: C++ has no coder for ${field.type}`);
  return type;
}

function initialOf(field, type) {
  if (field.resolvedType instanceof protobuf.Enum)
    return ` = ${type}::${Object.keys(field.resolvedType.values)[0]}`;
  return DEFAULTS[field.type] === undefined ? '' : ` = ${DEFAULTS[field.type]}`;
}

/** Declarations, for a header. */
export function messageStructs(contract, packageName) {
  return messagesOf(contract, packageName).flatMap(({ name, comment, fields }, index) => [
    ...(index > 0 ? [''] : []),
    ...commentOf(comment),
    `struct ${name} {`,
    ...fields.flatMap((field) => [
      ...commentOf(field.comment, '  '),
      `  ${field.type} ${field.name}${field.initial};`,
    ]),
    '',
    '  std::string encode() const;',
    `  static bool decode(std::string_view bytes, ${name}& message);`,
    '};',
  ]);
}

/** Definitions, for a source file. */
export function messageCoders(contract, packageName) {
  const messages = messagesOf(contract, packageName);
  return [
    ...messages.flatMap(({ name, fields }) => [
      `template <typename Visitor, Is<${name}> Message>`,
      'void fields(Visitor& visit, Message& message) {',
      ...fields.map(
        (field) =>
          `  visit(${field.number}, message.${field.name}${field.most === undefined ? '' : `, ${field.most}`});`,
      ),
      '}',
      '',
    ]),
    ...messages.flatMap(({ name }, index) => [
      ...(index > 0 ? [''] : []),
      `std::string ${name}::encode() const { return encodeMessage(*this); }`,
      ...decoderOf(name),
    ]),
  ];
}

/** In one line where it fits, as clang-format has it. */
function decoderOf(name) {
  const head = `bool ${name}::decode(std::string_view bytes, ${name}& message) {`;
  const line = `${head} return decodeMessage(bytes, message); }`;
  return line.length <= 110 ? [line] : [head, '  return decodeMessage(bytes, message);', '}'];
}
