import chainer

from chainer_cifar import environment


def test_git_that_does_not_trust_a_folder_whose_name_is_no_text(monkeypatch, tmp_path):
    git = tmp_path / 'git'
    git.write_text('#!/bin/sh\nprintf "in \\377" >&2\nprintf "\\377"\nexit 1\n')
    git.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')
    assert environment.describe(chainer.get_device('@numpy'))['git'] is None
