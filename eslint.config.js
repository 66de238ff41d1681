import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'src/protocol/generated/', '.vamos/'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  { files: ['entry/**', 'bench/**', 'examples/**'], rules: { 'no-console': 'off' } },
  // Imports go downward only: the halves of the middleware know what they share, never each other.
  {
    files: ['src/**'],
    rules: noImport('**/guest/**', '**/host/**', '**/entry/**', '**/bench/**'),
  },
  {
    files: ['guest/**'],
    rules: noImport('**/host/**', '**/entry/**', '**/bench/**'),
  },
  {
    files: ['host/**'],
    rules: noImport('**/guest/**', '**/entry/**', '**/bench/**'),
  },
  // Scripts run before anything is built or installed: plain JavaScript, checked without types.
  {
    files: ['scripts/**/*.mjs', '*.js', '*.ts'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { parserOptions: { projectService: false } },
    rules: { 'no-console': 'off' },
  },
);

function noImport(...group) {
  return {
    'no-restricted-imports': ['error', { patterns: [{ group, message: 'Imports go downward only.' }] }],
  };
}
