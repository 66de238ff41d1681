// Writes what is generated in native/protocol.
import { commentOf, generatedFile as header, within } from './cpp_text.mjs';
import { messageCoders, messageStructs } from './messages.mjs';
import { ContractError, camelCase, enumerationsOf, errorPropertiesOf, modulesOf, valuesOf } from './read.mjs';

/** The packages with enumerations, each with the header for them, the file that they come from, and their namespace. */
const PACKAGES = new Map([
  ['vamos', { name: 'session_enums.hpp', source: 'vamos.proto', namespace: 'vamos::wire' }],
  ['vamos.tables', { name: 'tables_enums.hpp', source: 'tables.proto', namespace: 'vamos::wire' }],
  ['vamos.files', { name: 'files_enums.hpp', source: 'files.proto', namespace: 'vamos::files' }],
  ['vamos.store', { name: 'store_enums.hpp', source: 'store.proto', namespace: 'vamos::wire' }],
]);

const TABLES_HEAD = [
  '// encode() leaves out what has its default. decode() takes bytes that anyone may have sent: false where they',
  '// are no such message or break a limit. Numbers of enumerations come as they are, known or not. A string_view',
  '// stands in the bytes that were decoded, or where the caller has it.',
  '',
];

/** @returns {Map<string, string>} files by name */
export function cppOf(contract) {
  const enumerations = enumerationsOf(contract);
  const stranger = enumerations.find((each) => !PACKAGES.has(each.package));
  if (stranger) {
    throw new ContractError(
      `${stranger.fullName}: scripts/contract/cpp.mjs has no header for package ${stranger.package}`,
    );
  }
  return new Map([
    ['error_code.hpp', header('vamos.proto', within('vamos', errorCode(contract)))],
    [
      'methods.hpp',
      header('*.proto', within('vamos', methods(contract)), {
        includes: ['<cstdint>', '<string_view>'],
      }),
    ],
    [
      'tables_messages.hpp',
      header(
        'tables.proto',
        within('vamos::wire', [...TABLES_HEAD, ...messageStructs(contract, 'vamos.tables')]),
        {
          includes: ['<cstdint>', '<string>', '<string_view>', '<vector>', '', '"protocol/tables_enums.hpp"'],
        },
      ),
    ],
    [
      'tables_messages.cpp',
      header('tables.proto', within('vamos::wire', messageCoders(contract, 'vamos.tables')), {
        includes: [
          '"protocol/tables_messages.hpp"',
          '',
          '"protocol/limits.hpp"',
          '"protocol/message_coder.hpp"',
        ],
        isHeader: false,
      }),
    ],
    ['statistics.hpp', header('metrics.yaml', within('vamos::store', statistics(contract)))],
    ['limits.hpp', header('limits.yaml', within('vamos', limits(contract)))],
    ...[...PACKAGES].map(([id, { name, source, namespace }]) => {
      const own = enumerations.filter((each) => each.package === id);
      const lines = own.flatMap((each, index) => [...(index > 0 ? [''] : []), ...asCpp(contract, each)]);
      return [name, header(source, within(namespace, lines))];
    }),
  ]);
}

function errorCode(contract) {
  return [
    '// The closed set of error codes; their meaning stands in the .proto.',
    ...enumeration(contract, 'vamos.ErrorCode', 'enum class ErrorCode : uint32_t'),
    ...errorPropertiesOf(contract).flatMap(({ name, comment, codes }) => [
      '',
      ...commentOf(comment),
      `constexpr bool ${name}(ErrorCode code) {`,
      '  switch (code) {',
      ...codes.map((code) => `    case ErrorCode::${code}:`),
      ...(codes.length > 0 ? ['      return true;'] : []),
      '    default:',
      '      return false;',
      '  }',
      '}',
    ]),
  ];
}

function asCpp(contract, { fullName, name, comment, isByte, isNumber }) {
  const type = isByte ? 'uint8_t' : 'uint32_t';
  const lines = isNumber
    ? [
        `struct ${name} {`,
        ...enumeration(contract, fullName, `enum Number : ${type}`).map((line) => `  ${line}`),
        '};',
      ]
    : enumeration(contract, fullName, `enum class ${name} : ${type}`);
  return [...commentOf(comment), ...lines];
}

function methods(contract) {
  const all = modulesOf(contract).flatMap(({ methods }) => methods);
  const question = (name, comment, has) => [
    '',
    `// ${comment}`,
    `constexpr bool ${name}(uint32_t method) {`,
    '  switch (method) {',
    ...all.filter(has).map(({ number, name: method }) => `    case ${number}:  // ${method}`),
    '      return true;',
    '    default:',
    '      return false;',
    '  }',
    '}',
  ];
  return [
    '// The name of a method, as in its .proto; empty: there is no such method.',
    'constexpr std::string_view nameOfMethod(uint32_t method) {',
    '  switch (method) {',
    ...all.flatMap(({ number, name }) => [`    case ${number}:`, `      return "${name}";`]),
    '    default:',
    '      return "";',
    '  }',
    '}',
    ...question(
      'isRepeatable',
      'Made twice, it is as if it was made once: a connector may send it again after a lost session.',
      ({ isRepeatable }) => isRepeatable,
    ),
    ...question(
      'writesRows',
      'Its request has rows, which are written where it succeeds.',
      ({ writesRows }) => writesRows,
    ),
  ];
}

function statistics({ metrics }) {
  const own = metrics
    .filter(({ isOfStore }) => isOfStore)
    .map(({ name, help }) => ({ name: camelCase(name), help }));
  return [
    '// What the store counts.',
    'struct Statistics {',
    ...own.flatMap(({ name, help }) => [...commentOf(`${help}.`, '  '), `  uint64_t ${name} = 0;`]),
    '',
    '  // Calls visit(NAME, VALUE) for each.',
    '  template <typename Visitor>',
    '  void forEach(Visitor&& visit) const {',
    ...own.map(({ name }) => `    visit("${name}", ${name});`),
    '  }',
    '};',
  ];
}

function limits(contract) {
  return contract.limits.flatMap(({ name, value, comment }, index) => [
    ...(index > 0 ? [''] : []),
    ...commentOf(comment),
    `constexpr uint64_t ${camelCase(name)} = ${value};`,
  ]);
}

function enumeration(contract, name, heading) {
  const values = valuesOf(contract, name);
  return [`${heading} {`, ...values.map((value) => `  ${value.name} = ${value.number},`), '};'];
}
