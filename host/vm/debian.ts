import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { VmError } from './errors.js';
import { runTool } from './tools.js';

/** The code name of the Debian release that this machine runs. */
export async function debianRelease(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(text)?.[1];
  const release = field('VERSION_CODENAME');
  if (field('ID') !== 'debian' || release === undefined || process.arch !== 'x64') {
    throw new VmError(
      'BAD_OPTION',
      'guest images are built from Debian packages, on Debian 12 or later, x86-64',
    );
  }
  return release;
}

/**
 * Returns this machine's Debian sources as a list in one-line style, so that an image can be built wherever
 * apt works.
 */
export async function sourcesFile(release: string): Promise<string> {
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)';
  const output = await runTool('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const suites = new Set([release, `${release}-updates`, `${release}-security`]);
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const options = existsSync(keyring) ? `[signed-by=${keyring}] ` : '';
  const lines = new Set<string>();
  for (const line of output.split('\n')) {
    const [uri, suite, component, origin] = line.split('|');
    if (!uri || !suite || component !== 'main' || !suites.has(suite)) continue;
    // Without package lists apt does not know the origin yet.
    if (origin === 'Debian' || origin === '' || origin?.startsWith('$(')) {
      lines.add(`deb ${options}${uri} ${suite} main`);
    }
  }
  if (lines.size === 0) {
    throw new VmError(
      'TOOL_FAILED',
      `apt knows no source of Debian ${release} main on this machine (/etc/apt)`,
    );
  }
  return [...lines].map((line) => `${line}\n`).join('');
}

/** Returns how apt reaches its sources here (proxies, date checks), as lines of apt.conf. */
export async function transportOptions(): Promise<string[]> {
  const output = await runTool('apt-config', ['dump', 'Acquire']);
  return output
    .split('\n')
    .filter((line) => /^Acquire::(https?::|ftp::|Check-|Max-ValidTime|Retries|ForceIPv)/.test(line))
    .filter((line) => !line.endsWith(' "";'));
}
