mod negotiation;
