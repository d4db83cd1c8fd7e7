"""Codes of the mesh of neighbouring transformers."""

from __future__ import annotations

from v2g.telemetry.catalogue_entry import NOTHING, Entry

MESH: tuple[Entry, ...] = (
    Entry(
        "MESH_START",
        "The wire of the mesh is there: this node listens, dials its neighbours and is heard.",
        "Tells its state every second, and shares the groups' limits with those that it hears.",
        NOTHING,
    ),
    Entry(
        "MESH_DOWN",
        "The mesh cannot be joined: its certificate, its key, its authority or its address cannot be used, or the wire "
        "brought nothing for half a minute.",
        "Tries again. Meanwhile nobody is heard, and each counts with the rating of all others: V2G power stays within "
        "what they would leave at their worst, down to 0.",
        "The line names the file or the address. v2g-orchestrator --check-config; v2g-cert-manager mesh-request makes "
        "a request for a new certificate.",
        "",
        ("mesh down",),
    ),
    Entry(
        "MESH_LINK",
        "The link to a neighbour is up, or lost.",
        "Messages of members go over other links, where there are any.",
        "A link that is lost: look at the neighbour's power and network; v2g-tool mesh there and here.",
    ),
    Entry(
        "MESH_MEMBER",
        "A member is heard, or its last state has expired (mesh.valid_s).",
        "Counts with its states; once they expire, with the rating in the list of members, whatever it said last.",
        "v2g-tool mesh shows its links, its age and its island; v2g-tool mesh ping NODE.",
    ),
    Entry(
        "MESH_ISLAND",
        "The mesh has fallen apart, or is whole again.",
        "Each island shares what the limits leave when all others are at their worst. After healing, power rises by "
        "its ramp.",
        "Look at the links between the islands: v2g-tool mesh map --output map.svg.",
        "",
        ("island", "partition"),
    ),
    Entry(
        "MESH_LIMIT",
        "A group's limit keeps our transformer from what its vehicles would take, or no longer does.",
        "Takes the part that is left for us: weighted by ratings, above all base loads.",
        NOTHING,
    ),
    Entry(
        "MESH_CAP",
        "The head of the mesh, or our region's gateway, lowers the limits of a group, or its cap is over.",
        "Follows it as it follows the configured limits. A region without a cap has mesh.alone_import_kw and "
        "mesh.alone_export_kw.",
        "Of a region without a cap: look at its gateways.",
    ),
    Entry(
        "MESH_DROP",
        "A message was not taken: unsigned, of a foreign network, of no member, of a certificate that is not trusted "
        "or revoked, expired, replayed, out of order, too many, or one that its sender may not say.",
        "Drops and counts it; the state before it holds until it expires.",
        "v2g-tool mesh counts them by reason and sender. Many of one sender: its certificate, its clock, or an attack; "
        "a member that is compromised is kept out by a revocation list in mesh.dir/crl.",
    ),
    Entry(
        "MESH_CLOCK",
        "A member's clock, or ours, is wrong: its message is from the future, or expired long ago.",
        "Drops its messages, so that it counts with its rating.",
        "Look at the time synchronisation of both: chronyc tracking, timedatectl.",
        "",
        ("clock skew",),
    ),
    Entry(
        "MESH_LOSS",
        "More than 5 % of the members' messages of the last minute were lost, or fewer than 2 % again.",
        "Goes on: every message is whole. The heartbeat LED flashes.",
        "Look at the links with the longest round trips and losses: v2g-tool mesh.",
        "",
        ("packet loss",),
    ),
    Entry(
        "HEARTBEAT_LED",
        "A light of heartbeat: is not there or cannot be written, or works again.",
        "Goes on without it.",
        "ls /sys/class/leds has the names. The light's files belong to root: a udev rule gives them to the service's "
        "user, and ReadWritePaths= in a drop-in of v2g-orchestrator.service names its directory.",
        "",
        ("heartbeat led",),
    ),
    Entry(
        "MESH_GATEWAY",
        "This gateway of a region speaks for it in the north, or another one does.",
        "The live one tells the region's sums to the north and the cap to the region; a standby takes over when the "
        "live one has been gone for 2 s.",
        NOTHING,
    ),
    Entry(
        "MESH_UNEXPLAINED",
        "The meter at the head of a group shows more than its members tell of: one of them is wrong about its flow, or "
        "something else is connected; or they agree again.",
        "Lowers the limit that the members share by as much, by a signed cap.",
        "Compare the members' transformers with what they tell (v2g-tool mesh): the meter tells that it is so, not "
        "which one it is.",
    ),
)
