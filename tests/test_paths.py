from chainer_cifar.paths import leads_out, real, seen_from, straight


def test_what_leads_out():
    assert leads_out('/a') and leads_out('a/../../b') and leads_out('..')
    assert not leads_out('a/b') and not leads_out('..a')


def test_links_in_a_circle_have_a_real_path(tmp_path):
    (tmp_path / 'a').symlink_to('b')
    (tmp_path / 'b').symlink_to('a')
    (tmp_path / 'c').symlink_to('d')
    assert real(tmp_path / 'a' / 'x').name == 'x'
    assert real(tmp_path / 'c') == real(tmp_path) / 'd'


def test_a_path_is_seen_from_a_folder_that_a_link_leads_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('disk/deep/data', 'far/photos', 'own'):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / 'dataset').symlink_to('disk/deep/data')
    (tmp_path / 'link').symlink_to('far/photos')
    for folder, path, expected in (
        ('dataset', 'own/1.png', '../../../own/1.png'),
        ('dataset', 'link/1.png', '../../../link/1.png'),  # the name that the user knows
        ('dataset', 'link/../1.png', '../../../far/1.png'),
        ('dataset', 'dataset/../../../own/1.png', '../../../own/1.png'),
        ('', tmp_path / 'own/1.png', 'own/1.png'),
    ):
        assert seen_from(folder, path) == expected
    assert straight('dataset/../../../link/1.png') == tmp_path / 'link/1.png'
