from multibuild.plan.host_facts import Node
from multibuild.plan.placement import choose_node, nodes_in_order
from multibuild.platforms import Platform

AMD64, ARM64, S390X = (Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/s390x"))


def node(name, native=AMD64, *, meant=(), runs=(AMD64, ARM64, S390X)):
    return Node(builder=name, driver="remote", native=native, meant=meant, runs=runs)


def test_what_a_profile_means_a_node_for_goes_there():
    first, second = node("first", meant=(AMD64,)), node("second", meant=(S390X,))
    assert choose_node(S390X, (first, second)) is second
    assert choose_node(AMD64, (first, second)) is first


def test_native_before_emulated_whatever_the_order():
    near, far = node("near"), node("far", ARM64)
    assert nodes_in_order(ARM64, (near, far)) == (far, near)


def test_nodes_meant_for_something_else_come_last():
    busy, free = node("busy", meant=(S390X,)), node("free")
    assert nodes_in_order(ARM64, (busy, free)) == (free, busy)


def test_a_node_where_the_probe_failed_is_no_node_for_it():
    broken, other = node("broken", ARM64, meant=(ARM64,), runs=(AMD64,)), node("other")
    assert nodes_in_order(ARM64, (broken, other)) == (other,)


def test_where_nobody_runs_it_there_is_one_guess_and_nowhere_to_move():
    first, second = node("first", runs=(AMD64,)), node("second", ARM64, runs=(AMD64,))
    assert nodes_in_order(ARM64, (first, second)) == (second,)
