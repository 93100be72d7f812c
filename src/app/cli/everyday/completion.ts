/**
 * Completion for shells: scripts made from the commands themselves, so that they name what there is. They complete
 * commands, options and the words that an option may have; files where anything else may stand. Pure.
 */
import type { Command, Option } from 'commander';
import { Fault } from '../../../kernel/fault.ts';

type Completed = {
  name: string;
  about: string;
  options: OptionWords[];
  children: Completed[];
  /** What may stand after it, besides files where it takes those. */
  words: string[];
  takesFiles: boolean;
};
type OptionWords = { names: string[]; about: string; takesValue: boolean; choices: string[] };

const SHELLS = { bash, zsh, fish } as const;
const WORDS: Record<string, string[]> = { completion: Object.keys(SHELLS), publish: ['camera', 'test'] };

/** Throws a Fault for a shell that there is none for. */
export function completion(shell: string, program: Command): string {
  const make = Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS] : undefined;
  if (!make) {
    const words = `there is completion for ${Object.keys(SHELLS).join(', ')}; ${JSON.stringify(shell)} is none of them`;
    throw new Fault('shell-unknown', words, { blame: 'caller' });
  }
  return make(treeOf(program));
}

function treeOf(command: Command): Completed {
  const help = command.createHelp();
  return {
    name: command.name(),
    about: firstSentence(command.description()),
    options: help.visibleOptions(command).map(optionWords),
    // Hidden ones are for the server itself.
    children: help.visibleCommands(command).map(treeOf),
    words: WORDS[command.name()] ?? [],
    takesFiles: command.name() !== 'completion',
  };
}

function optionWords({ short, long, description, required, optional, argChoices }: Option): OptionWords {
  return {
    names: [short, long].filter((name) => name !== undefined),
    about: description,
    takesValue: required || optional,
    choices: [...(argChoices ?? [])],
  };
}

function firstSentence(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** Every command by its words, the deepest last; the program itself has none. */
function paths(tree: Completed, path: string[] = []): { path: string[]; command: Completed }[] {
  return [{ path, command: tree }, ...tree.children.flatMap((child) => paths(child, [...path, child.name]))];
}

function bash(tree: Completed): string {
  const cases = paths(tree).map(({ path, command: { options, children, words } }) => {
    const names = [...children.map(({ name }) => name), ...words, ...options.flatMap((option) => option.names)];
    return `    '${path.join(' ')}') words='${names.join(' ')}' ;;`;
  });
  const values = paths(tree).flatMap(({ path, command }) =>
    command.options
      .filter(({ takesValue }) => takesValue)
      .map(({ names, choices }) => {
        const patterns = names.map((name) => `'${[...path, name].join(' ')}'`).join('|');
        return `    ${patterns}) ${choices.length > 0 ? `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$current"))` : 'COMPREPLY=($(compgen -f -- "$current"))'}; return ;;`;
      }),
  );
  return `# Completion of aircheck for bash.
_aircheck() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path='' word words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "\${path:+$path }$word" in
${paths(tree)
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      '${path.join(' ')}') path='${path.join(' ')}' ;;`)
  .join('\n')}
    esac
  done
  case "\${path:+$path }$before" in
${values.join('\n')}
  esac
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -gt 0 || $current == -* ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _aircheck aircheck
`;
}

/** Text within single quotes, as a description in square brackets or after a colon wants it. */
function zshText(text: string): string {
  return text.replace(/'/g, `'\\''`).replace(/[[\]:]/g, '\\$&');
}

function zsh(tree: Completed): string {
  const functionOf = (path: string[]) => ['_aircheck', ...path].join('_').replace(/-/g, '_');
  const functions = paths(tree).map(({ path, command }) => {
    const options = command.options.map(({ names, about, takesValue, choices }) => {
      const value = takesValue ? `:value:${choices.length > 0 ? `(${choices.join(' ')})` : '_files'}` : '';
      const exclusive = names.length > 1 ? `'(${names.join(' ')})'{${names.join(',')}}` : `'${names[0]}`;
      return `    ${exclusive}${names.length > 1 ? "'" : ''}[${zshText(about)}]${value}'`;
    });
    const { children, words, takesFiles } = command;
    const rest =
      children.length > 0
        ? [`    '1: :->command'`, `    '*:: :->rest'`]
        : words.length > 0
          ? [`    '1:word:_alternative "words:word:(${words.join(' ')})"${takesFiles ? ' "files:file:_files"' : ''}'`]
          : [`    '*:file:_files'`];
    const described = children.map(({ name, about }) => `      '${name}:${zshText(about)}'`);
    return [
      `${functionOf(path)}() {`,
      '  local context state state_descr line; typeset -A opt_args',
      '  _arguments -C \\',
      [...options, ...rest].join(' \\\n'),
      ...(children.length > 0
        ? [
            '  case $state in',
            '  command)',
            '    local -a commands=(',
            ...described,
            '    )',
            '    _describe command commands',
            '    ;;',
            '  rest)',
            '    case $line[1] in',
            ...children.map(({ name }) => `    ${name}) ${functionOf([...path, name])} ;;`),
            '    esac',
            '    ;;',
            '  esac',
          ]
        : []),
      '}',
    ].join('\n');
  });
  return `#compdef aircheck
# Completion of aircheck for zsh.
${functions.toReversed().join('\n')}
compdef _aircheck aircheck
`;
}

/** Text within single quotes. */
function fishText(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/'/g, "\\'");
}

function fish(tree: Completed): string {
  const lines = paths(tree).flatMap(({ path, command: { options, children, words, takesFiles } }) => {
    const [first] = path;
    const names = children.map(({ name }) => name).join(' ');
    const seen = path.map((name) => `__fish_seen_subcommand_from ${name}`).join('; and ');
    const here = first === undefined ? '__fish_use_subcommand' : seen;
    const notYet = first === undefined ? here : `${here}; and not __fish_seen_subcommand_from ${names}`;
    return [
      ...children.map(({ name, about }) => `complete -c aircheck -n '${notYet}' -f -a ${name} -d '${fishText(about)}'`),
      ...words.map((word) => `complete -c aircheck -n '${here}'${takesFiles ? '' : ' -f'} -a ${word}`),
      ...options.map(({ names: [one = '', two], about, takesValue, choices }) => {
        const [short, long] = two === undefined ? [undefined, one] : [one, two];
        const flags = `${short === undefined ? '' : ` -s ${short.slice(1)}`} -l ${long.slice(2)}`;
        const value = choices.length > 0 ? ` -x -a '${choices.join(' ')}'` : takesValue ? ' -r' : '';
        return `complete -c aircheck -n '${here}'${flags}${value} -d '${fishText(about)}'`;
      }),
    ];
  });
  return `# Completion of aircheck for fish.\n${lines.join('\n')}\n`;
}
