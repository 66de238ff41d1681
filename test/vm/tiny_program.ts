/**
 * An x86-64 Linux program of known length, for guests without a compiler. It runs `before`, then `body` until that leaves
 * the zero flag set, then it ends with status 0.
 * @param rounds in ecx at the start
 */
export function tinyProgram(rounds: number, body: number[], before: number[] = []): Buffer {
  const code = Buffer.from([
    ...[0xb9, 0, 0, 0, 0], // mov ecx, rounds
    ...before,
    ...body,
    ...[0x75, -(body.length + 2) & 0xff], // jnz body
    ...[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05], // mov eax, 60 (exit); xor edi, edi; syscall
  ]);
  code.writeUInt32LE(rounds, 1);
  // elf(5): the file's header, then one program header that loads all of the file to `base`.
  const base = 0x400000n;
  const header = Buffer.alloc(120);
  const bytes = BigInt(header.length + code.length);
  header.write('\x7fELF\x02\x01\x01', 'latin1'); // 64 bits, little-endian
  header.writeUInt16LE(2, 16); // e_type ET_EXEC
  header.writeUInt16LE(62, 18); // e_machine EM_X86_64
  header.writeUInt32LE(1, 20); // e_version
  header.writeBigUInt64LE(base + 120n, 24); // e_entry
  header.writeBigUInt64LE(64n, 32); // e_phoff
  header.writeUInt16LE(64, 52); // e_ehsize
  header.writeUInt16LE(56, 54); // e_phentsize
  header.writeUInt16LE(1, 56); // e_phnum
  header.writeUInt32LE(1, 64); // p_type PT_LOAD
  header.writeUInt32LE(5, 68); // p_flags: read, execute
  header.writeBigUInt64LE(base, 80); // p_vaddr
  header.writeBigUInt64LE(base, 88); // p_paddr
  header.writeBigUInt64LE(bytes, 96); // p_filesz
  header.writeBigUInt64LE(bytes, 104); // p_memsz
  header.writeBigUInt64LE(4096n, 112); // p_align
  return Buffer.concat([header, code]);
}

/** dec ecx: each round is this and a jump. */
export const COUNT_DOWN = [0xff, 0xc9];
