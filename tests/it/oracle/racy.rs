//! Times that do not tell (git's topics t0010, t2107, t7508).

use super::Tree;

#[test]
fn a_change_of_the_same_size_in_the_same_moment_is_seen() {
    let tree = Tree::of("for n in 1 2 3 4 5 6 7 8 9; do echo old > f$n; done");
    for _ in 0..8 {
        // Right after stead looked, and right after a commit.
        tree.step("echo new > f1; echo new > f2").step("echo old > f1; git add f2; echo odd > f2");
        tree.step("git commit -q -a -m x").step("echo old > f2; git commit -q -a -m y; echo new > f3");
        tree.step("git checkout -q f3");
    }
}

#[test]
fn a_change_behind_a_restored_time_is_seen() {
    let tree = Tree::of("echo old > a; echo old > b; echo old > c");
    // git tells it by the second of the ctime alone.
    tree.quietly("sleep 1.1")
        .run("touch -r a t; echo new > a; touch -r t a; rm t")
        .step("touch -d 2001-01-01 b")
        .step("touch -d 2001-01-01 c; echo new > c; touch -d 2001-01-01 c")
        .step("touch -d 2038-01-20 b; echo odd > b; touch -d 2038-01-20 b");
}

#[test]
fn a_file_that_another_took_the_place_of_is_seen() {
    let tree = Tree::of("echo one > a; echo two > b; echo six > c");
    tree.run("mv a t; mv b a; mv t b").step("cp -p c t; echo ten > c; mv t a").step("ln -f a b");
}

#[test]
fn what_is_touched_but_the_same_is_no_change() {
    let tree = Tree::of("echo one > a; mkdir d; echo two > d/b; ln -s a l; chmod +x a");
    tree.run("touch a d/b; cp d/b t; mv t d/b; rm l; ln -s a l; chmod 700 a; chmod 600 d/b");
}
