import dataclasses

import pytest

from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.errors import UserError


@pytest.fixture
def parse():
    parser = ArgumentParser(prog='tool.py', fromfile_prefix_chars='@')
    parser.add_argument('-b', '--batch_size', type=int)
    parser.add_argument('--prefix')
    parser.add_argument('--lr', type=float)
    parser.add_argument('--dry_run', action='store_true')
    parser.add_argument('images', nargs='*')
    return lambda *arguments: parser.parse_args(arguments)


@pytest.mark.parametrize(
    'words', [['--batch-size', '5'], ['--batch-size=5'], ['--batch_size', '5'], ['-b', '5']]
)
def test_dashes_in_a_long_flag_are_underscores(parse, words):
    given = parse(*words, '--dry-run', '--prefix', 'my-run', 'a-b.png')
    assert given.batch_size == 5 and given.dry_run
    assert given.prefix == 'my-run' and given.images == ['a-b.png']


def test_values_keep_their_dashes(parse):
    assert parse('--prefix=--dry-run').prefix == '--dry-run'
    assert parse('--prefix=my-run').prefix == 'my-run'
    assert parse('--lr', '-0.5').lr == -0.5
    assert parse('a', '--', '--dry-run', '--x-y').images == ['a', '--dry-run', '--x-y']


def test_dashes_in_a_file_of_flags(parse, tmp_path):
    (tmp_path / 'my-flags.txt').write_text('--batch-size 5 --dry-run\n--prefix my-run a -- --a-b\n')
    given = parse(f'@{tmp_path}/my-flags.txt')
    assert (given.batch_size, given.prefix, given.dry_run) == (5, 'my-run', True)
    assert given.images == ['a', '--a-b']


@pytest.mark.parametrize(
    ('typed', 'meant'),
    [
        ('--batch-sise', '--batch_size'),
        ('--dry-runs=1', '--dry_run'),
        ('--epochs', '--batch_size'),  # here is no --iter
    ],
)
def test_a_mistyped_flag_gets_the_right_one_as_it_was_typed(parse, typed, meant):
    with pytest.raises(UserError) as error:
        parse(typed)
    hint = f", did you mean '{meant}'?" if meant else ' (see --help)'
    assert str(error.value) == f"no flag is called '{typed}'{hint}"


def test_names_of_other_tools_are_aliases(parse, tmp_path):
    (tmp_path / 'flags').write_text('--learning-rate 0.5')
    given = parse('--batchsize=5', '--name', 'run', f'@{tmp_path}/flags')
    assert (given.batch_size, given.prefix, given.lr) == (5, 'run', 0.5)
    with pytest.raises(UserError, match='argument -b/--batch_size: expected one argument'):
        parse('--batchsize')


def test_an_alias_is_no_alias_where_it_is_a_flag():
    parser = ArgumentParser(prog='tool.py')
    parser.add_argument('--name')
    parser.add_argument('--prefix')
    assert parser.parse_args(['--name', 'a']).name == 'a'


def test_two_dashes_are_a_value(parse):
    assert parse('--prefix=--').prefix == '--'
    with pytest.raises(UserError, match="--lr: invalid float value: '--'"):
        parse('--lr=--')
    assert parse('--lr', '0.5', '--', 'a').images == ['a']


def test_a_word_too_many():
    with pytest.raises(UserError) as error:
        ArgumentParser(prog='tool.py').parse_args(['foo'])
    assert str(error.value) == "unexpected argument 'foo' (see --help)"


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'--prefix caf\xe9', 'not a text in UTF-8; save it as one'),
        (b'-b 5\n--prefix a\0b', 'line 2: it holds a zero byte: --prefix a\0b'),
        (b'--prefix "a', 'line 1: No closing quotation: --prefix "a'),
    ],
)
def test_a_file_of_flags_that_is_none(parse, tmp_path, content, reason):
    path = tmp_path / 'flags'
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        parse(f'@{path}')
    assert str(error.value) == f'@{path}: {reason}'


def test_files_of_flags_in_files(parse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a').write_text('# all of them\n-b 1 @b\n@b', encoding='utf-8-sig')
    (tmp_path / 'b').write_text("猫 'two words'", encoding='utf-8')
    given = parse('first', '@a', 'last')
    assert given.batch_size == 1
    assert given.images == ['first', *['猫', 'two words'] * 2, 'last']
    (tmp_path / 'b').write_text('@a')
    with pytest.raises(UserError, match='@a: a file of flags names itself'):
        parse('@a')
    with pytest.raises(UserError, match='@c: there is no file c to read flags from'):
        parse('@c')


def test_a_mistyped_flag_is_told_before_what_it_caused(parse):
    with pytest.raises(UserError, match="no flag is called '--batch-sise'"):
        parse('--dry-run', '--batch-sise', '5', '--lr', 'high')
    with pytest.raises(UserError, match="--lr: invalid float value: 'high'"):
        parse('--dry-run', '--lr', 'high')


def test_flags_of_a_dataclass_in_groups(capsys):
    def flag(group, default, text, short=None, **more):
        metadata = {'group': group, 'help': text, 'short': short, 'told': default}
        metadata |= {'of_run': 'that of the run', 'in_train': '', **more}
        return dataclasses.field(default=default, metadata=metadata)

    @dataclasses.dataclass
    class Config:
        size: int = flag('one', 3, 'how many, up to 100 %', '-s')
        fast: bool = flag('other', False, 'do hurry')
        name: str = flag('one', '', 'of it', told='yours', in_train='or several')

    parser = ArgumentParser(prog='tool.py')
    groups = add_flags(parser, Config, groups=('other', 'one'))
    groups['other'].add_argument('--more', action='store_true', help='of the same')
    given = parser.parse_args(['-s', '5', '--fast', '--name', 'a', '--more'])
    assert vars(given) == {'size': 5, 'fast': True, 'name': 'a', 'more': True}
    parts = parser.format_help().split('\n\n')
    assert [part.splitlines()[0] for part in parts[2:]] == ['other:', 'one:']
    assert '--fast' in parts[2] and '--more' in parts[2]
    assert 'up to 100 % (default: 3)' in parts[3]
    assert '--name STR' in parts[3] and 'of it (default: yours)' in parts[3]
    for options, told in (
        ({'train': True}, 'of it; or several (default: yours)'),
        ({'default': 'of_run'}, 'of it (default: that of the run)'),
        ({'default': ''}, 'of it\n'),
    ):
        parser = ArgumentParser(prog='tool.py')
        add_flags(parser, Config, ['name'], **options)
        assert told in parser.format_help()
