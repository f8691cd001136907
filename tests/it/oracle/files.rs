//! Kinds of files and sizes (git's topics t3700, t4000, t0000, t1050).

use super::Tree;

#[test]
fn empty_large_and_binary_files_are_compared_by_content() {
    let tree = Tree::of("touch empty; printf 'a\\0b' > binary; printf x > no-newline; seq 100000 > large");
    tree.run("echo > empty; printf 'a\\0c' > binary; echo x > no-newline; seq 100001 > large; head -c 3000000 /dev/zero > zeros")
        .step(": > large; : > binary")
        .step("git checkout -q .; truncate -s 5 empty; mv large larger");
}

#[test]
fn empty_directories_pipes_and_sockets_are_nothing_to_git() {
    let tree = Tree::of("mkdir d; touch d/x");
    tree.run("mkdir -p empty/deeper d/empty; mkfifo pipe d/pipe; touch y").step("rm d/x").step("rm y; rmdir d/empty");
}

#[test]
fn links_are_their_text() {
    let tree = Tree::of("touch x; mkdir d; touch d/y");
    tree.run(
        "ln -s x a; ln -s nowhere b; ln -s /etc/hostname c; ln -s .. e; ln -s d f; ln -s a g; ln -s h h; ln -s . d/i",
    )
    .step("git add -A; git commit -q -m links; ln -sfn y a; ln -sfn d/ f; rm b c; ln -s c b");
}

#[test]
fn hard_links_are_two_files() {
    let tree = Tree::of("echo 1 > a; echo 1 > b");
    tree.run("ln -f a b; ln a c; echo 2 >> a");
}

#[test]
fn many_files_are_all_seen() {
    let tree =
        Tree::of("for d in 1 2 3 4 5 6 7 8 9; do mkdir $d; for n in $(seq 60); do echo $d $n > $d/$n; done; done");
    tree.run("rm */7 3/*5; for d in 2 4; do for n in 1 9 30; do echo new > $d/$n; done; done; mv 5 five; cp -r 6 six; rm -r 8; touch 9/new");
}
