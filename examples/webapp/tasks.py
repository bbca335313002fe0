import handrail

namespace = handrail.collection()
