package resources

import "slices"

// Ports that a server listens on in its pod, unless a listener has them already.
const (
	adminPort   = 8080
	controlPort = 8443
	// privileged is the first port that a process without rights may always listen on.
	privileged = 1024
	// raise is what is added to a port below that.
	raise = 1000
)

// Names of the container's ports beside the listeners', which bear the listeners' names.
const (
	portLMTP    = "lmtp"
	portAdmin   = "admin"
	portControl = "control"
)

// port is a port of the server's container.
type port struct {
	name   string
	number int32
}

// ports gives all ports of the container: the listeners in their order, then LMTP, admin and control. A port of the
// Service is the same in the pod, one below 1024 is 1000 higher there; where that is taken, the next one is free.
func (in Input) ports() []port {
	var all []port
	add := func(name string, number int32) {
		for slices.ContainsFunc(all, func(p port) bool { return p.number == number }) {
			number++
		}
		all = append(all, port{name, number})
	}
	for _, l := range in.Service.Spec.Listeners {
		add(l.Name, unprivileged(l.Port))
	}
	add(portLMTP, unprivileged(in.Service.Spec.Delivery.LMTP.Port))
	add(portAdmin, adminPort)
	add(portControl, controlPort)
	return all
}

func unprivileged(number int32) int32 {
	if number < privileged {
		return number + raise
	}
	return number
}

// containerPort gives the number of the container's port with this name.
func (in Input) containerPort(name string) int32 {
	for _, p := range in.ports() {
		if p.name == name {
			return p.number
		}
	}
	return 0
}
