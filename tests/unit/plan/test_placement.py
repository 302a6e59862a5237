from multibuild.plan.host_facts import Node
from multibuild.plan.placement import choose_node, nodes_in_order
from multibuild.platforms import Platform

AMD64, ARM64, S390X = (Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/s390x"))


def node(name, native=AMD64, *, platforms=(), runs=(AMD64, ARM64, S390X)):
    return Node(builder=name, driver="remote", native=native, profile_platforms=platforms, runs=runs)


def test_a_platform_goes_to_the_node_that_its_profile_assigns():
    first, second = node("first", platforms=(AMD64,)), node("second", platforms=(S390X,))
    assert choose_node(S390X, (first, second)) is second
    assert choose_node(AMD64, (first, second)) is first


def test_native_nodes_come_before_emulating_ones():
    near, far = node("near"), node("far", ARM64)
    assert nodes_in_order(ARM64, (near, far)) == (far, near)
    near, far = node("near", runs=(ARM64,)), node("far", ARM64, runs=())
    assert choose_node(ARM64, (near, far)) is far
    assert choose_node(AMD64, (near, far)) is near


def test_a_node_whose_probe_ran_comes_before_the_first_node():
    first, second = node("first", runs=()), node("second", runs=(S390X,))
    assert choose_node(S390X, (first, second)) is second
    assert choose_node(ARM64, (first, second)) is first


def test_nodes_assigned_to_other_platforms_come_last():
    assigned, free = node("assigned", platforms=(S390X,)), node("free")
    assert nodes_in_order(ARM64, (assigned, free)) == (free, assigned)


def test_a_node_where_the_probe_failed_is_no_candidate():
    broken, other = node("broken", ARM64, platforms=(ARM64,), runs=(AMD64,)), node("other")
    assert nodes_in_order(ARM64, (broken, other)) == (other,)


def test_a_platform_that_runs_nowhere_has_one_guess_and_no_standby():
    first, second = node("first", runs=(AMD64,)), node("second", ARM64, runs=(AMD64,))
    assert nodes_in_order(ARM64, (first, second)) == (second,)
