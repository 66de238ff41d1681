import type { VmChannel } from './qemu.js';

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
};

/**
 * Returns a channel's element for a libvirt domain, and a guide what to do with it. They are separate, so
 * that the element alone can go to a file: an XML comment can't hold the options of a command line.
 */
export function libvirtSnippet({ name, socketPath }: VmChannel): { xml: string; guide: string } {
  const escaped = (text: string) => text.replaceAll(/[&<>'"]/g, (character) => ESCAPES[character] as string);
  const xml = `<!-- into the <devices> of the domain -->
<channel type='unix'>
  <source mode='bind' path='${escaped(socketPath)}'/>
  <target type='virtio' name='${escaped(name)}'/>
</channel>`;
  const guide = `Where it goes:
  virsh edit DOMAIN                                      there from the domain's next start
  virsh attach-device DOMAIN FILE --config --live        immediately, with the element in FILE
On the host, as a user who may open the socket (root, or libvirt's QEMU user):
  vamos host --root DIRECTORY --channel virtio-serial:${socketPath}
In the guest (the port /dev/virtio-ports/${name}):
  connect('virtio-serial:${name}')`;
  return { xml, guide };
}
