//! Index, head and stash in every state (git's topics t7060, t7508, t2203, t3903, t1700, t7011, t2015).

use super::Tree;

const BASE: &str = "mkdir d; for n in 1 2 3 4 5 6; do echo $n > f$n; echo $n > d/g$n; done";

#[test]
fn staged_and_not_staged_are_one_difference() {
    let tree = Tree::of(BASE);
    tree.step("echo x > f1; git add f1; echo y > f1; git rm -q f2; git rm -q --cached f3; rm f4; git mv f5 f7; echo n > n; git add n")
        .step("rm n; echo 1 > f1; git add -N f8 2>/dev/null || :; touch f8; git add -N f8")
        .step("echo 2 > f2; echo changed > f3")
        .step("git reset -q").step("git stash -q -u").step("git stash pop -q").step("git checkout -q -f; git clean -qfd");
}

#[test]
fn the_head_is_wherever_it_points() {
    let tree = Tree::of(BASE);
    tree.step("git checkout -q --detach; echo x > f1; git commit -q -a -m x")
        .step("git checkout -q -b other HEAD~1")
        .step("git reset -q --soft HEAD@{1}")
        .step("git reset -q --hard")
        .step("git update-ref HEAD HEAD~1")
        .step("git pack-refs --all; git gc -q; echo z > z");
}

#[test]
fn an_index_that_is_gone_or_odd_hides_nothing() {
    let tree = Tree::of(BASE);
    tree.step("rm .git/index; git read-tree HEAD; echo x > f1")
        .step("git read-tree --empty")
        .step("git read-tree HEAD; git update-index --index-version 4; echo y > d/g1")
        .step("git update-index --split-index; echo z > f2; git add f2; rm f3")
        .step("git update-index --no-split-index; git update-index --untracked-cache; touch u")
        .step("git config index.sparse true; git update-index --force-untracked-cache; touch d/u");
}

#[test]
fn an_index_without_end_of_work_is_the_same_for_all() {
    let tree = Tree::of(BASE);
    tree.run("git rm -q -r d; git commit -q -m gone; mkdir d; touch d/other; git checkout -q HEAD~1 -- d; git commit -q -m back; git reset -q --hard HEAD~2; touch w");
}

#[test]
fn conversions_are_no_change_until_the_text_changes() {
    let tree = Tree::of(
        "printf '*.txt text\\n*.crlf text eol=crlf\\n*.bin binary\\n*.id ident\\nutf16 text working-tree-encoding=UTF-16LE\\n' > .gitattributes
         printf 'a\\nb\\n' > a.txt; printf 'a\\nb\\n' > b.crlf; printf 'a\\r\\n' > c.bin; printf '$Id$\\n' > d.id; printf 'a\\0' > utf16",
    );
    tree.step("printf 'a\\r\\nb\\r\\n' > a.txt")
        .step("printf 'a\\nb\\n' > b.crlf; printf 'a\\n' > c.bin")
        .step("printf '$Id: other $\\n' > d.id; printf 'b\\0' > utf16")
        .step("printf '$Id$ more\\n' > d.id; printf 'a\\r\\nc\\r\\n' > b.crlf; printf 'new\\r\\n' > new.txt");
}

#[test]
fn nested_repositories_are_no_files_of_this_one() {
    let tree = Tree::of(BASE);
    tree.step("git init -q sub; touch sub/x; git -C sub add .; git -C sub commit -q -m x")
        .step("mkdir -p d/deep; git clone -q sub d/deep/clone; touch d/deep/clone/untracked d/deep/file")
        .step("rm -rf sub/.git");
}
